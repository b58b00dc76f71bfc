"""Collections: a row says how one kind of object looks and is found, and its routes follow from it."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from sandbox.errors import ApiError
from sandbox.state import State
from sandbox.store import params
from sandbox.store.auth import owned
from sandbox.store.objects import Item, Items, Shape, add, page
from sandbox.store.params import Body
from sandbox.wire.messages import Answer, Headers, Request, Response, json_response
from sandbox.wire.routing import Handler, Route

METHODS = {"create": "POST", "list": "GET", "retrieve": "GET", "update": "POST", "delete": "DELETE"}
_OF_ALL = ("create", "list")


@dataclass(eq=False)
class Collection:
    """One kind of object of the caller's.

    `path` is where its objects are, from `/v1` on, or below an object of `parent`; `prefix` begins their ids, of
    `digits` hex digits; `name` is their `object`. `fields` are what a body may set, with what they are when it does not
    (a given object goes into the default one); `fixed` are fields that no body sets; `complete` finishes a new or
    changed shape by the body.
    """

    path: str
    prefix: str
    name: str
    _: KW_ONLY
    parent: "Collection | None" = None
    param: str = ""  # what a path calls an object's id; by default its name and `_id`
    what: str = ""  # what a 404 calls an object; by default its name in words
    missing: Callable[[str], ApiError] | None = None  # the 404 for an id, where OpenAI words it in another way
    digits: int = 24
    required: tuple[str, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    times: tuple[str, ...] = ("created_at",)  # set when an object is created; `updated_at` also when it changes
    complete: Callable[[Request, Shape, Body], None] | None = None
    show: Callable[[Request, Item], Shape] | None = None  # an object as of now
    hidden: Callable[[Request, Item], bool] | None = None  # whether an object is not to be found
    usable: Callable[[Request, Item], None] | None = None  # raises ApiError when nothing inside an object may be seen
    changeable: tuple[str, ...] | None = None  # the fields that an update may set; by default all
    filters: tuple[str, ...] = ()  # fields that a list's query may ask for
    paging: Mapping[str, Any] = field(default_factory=dict)  # the options of `paging.page`
    created: int = 200  # the status of the answer that shows a new object
    headers: Headers | None = None  # of answers that show one object
    deleted: str = ""  # the `object` of a deletion; by default the name and `.deleted`
    deleted_id: str = "id"

    def __post_init__(self) -> None:
        self.key = self.path  # what a parent calls the store of them
        if self.parent is not None:
            self.path = f"{self.parent.item_path}/{self.path}"
        self.param = self.param or f"{self.name.rpartition('.')[2]}_id"
        self.what = self.what or self.name.replace(".", " ").replace("_", " ")

    @property
    def item_path(self) -> str:
        return f"{self.path}/{{{self.param}}}"

    # --- objects ----------------------------------------------------------------------------------------------------
    def store(self, request: Request) -> Items:
        """The caller's objects, oldest first, within the parent that the path names."""
        if self.parent is None:
            return owned(request.app.state, self.key)
        parent = self.parent.find(request)
        if self.parent.usable is not None:
            self.parent.usable(request, parent)
        return parent.within(self.key)

    def find(self, request: Request, item_id: Any = None) -> Any:
        """The Item with this id, or with the one that the path names; raises ApiError 404 for an unknown one."""
        item_id = request.params[self.param] if item_id is None else str(item_id)
        item = self.store(request).get(item_id)
        if item is None or (self.hidden is not None and self.hidden(request, item)):
            if self.missing is not None:
                raise self.missing(item_id)
            raise ApiError(f"No {self.what} found with id '{item_id}'.", status=404)
        return item

    def new(self, request: Request, body: Body, inner: Any = None, **more: Any) -> Item:
        """A new object, kept, with the fields in `more` over all others; raises ApiError 400 for a bad body."""
        return self.keep(request, Item(self.shape(request, body) | more, inner))

    def shape(self, request: Request, body: Body) -> Shape:
        """How a new object looks; raises ApiError 400 for a bad body."""
        self.check_required(body)
        shape = self.blank(request.app.state)
        if self.parent is not None and self.parent.param in request.params:
            shape[self.parent.param] = request.params[self.parent.param]
        self.change(request, shape, body)
        return shape

    def blank(self, state: State) -> Shape:
        """How an object looks of which nothing is said."""
        shape = {"id": state.new_id(self.prefix, self.digits), "object": self.name}
        return {**shape, **dict.fromkeys(self.times, state.created()), **deepcopy({**self.fixed, **self.fields})}

    def add(self, state: State, parent: Item, inner: Any = None, **more: Any) -> Item:
        """A new object inside `parent`, with the fields in `more` over all others."""
        named = {self.parent.param: parent.id} if self.parent is not None else {}
        return add(parent.within(self.key), self.blank(state) | named | more, inner)

    def check_required(self, body: Body) -> None:
        for name in self.required:
            params.required(body, name)

    def keep(self, request: Request, item: Item) -> Item:
        return self.store(request).put(item.id, item)

    def change(self, request: Request, shape: Shape, body: Body) -> None:
        """Takes what the body gives of the collection's fields into `shape`."""
        for name, default in self.fields.items():
            given = params.metadata(body) if name == "metadata" and body.get(name) else body.get(name)
            if given is not None:
                joined = isinstance(given, dict) and isinstance(default, dict) and name != "metadata"
                shape[name] = {**shape[name], **given} if joined else given
        if self.complete is not None:
            self.complete(request, shape, body)
        if "updated_at" in shape:
            shape["updated_at"] = request.app.state.created()

    def shown(self, request: Request, item: Item) -> Shape:
        return self.show(request, item) if self.show is not None else item.shape

    def answer(self, request: Request, item: Item, status: int = 200) -> Response:
        """The answer that shows one object."""
        return json_response(self.shown(request, item), status, self.headers)

    # --- handlers ---------------------------------------------------------------------------------------------------
    async def create(self, request: Request) -> Answer:
        return self.answer(request, self.new(request, request.json()), self.created)

    async def list(self, request: Request) -> Answer:
        query = request.query()
        wanted = {name: query[name] for name in self.filters if name in query}
        items = [item for item in self.store(request) if self.hidden is None or not self.hidden(request, item)]
        shapes = [self.shown(request, item) for item in items]
        fitting = [shape for shape in shapes if all(shape.get(name) == value for name, value in wanted.items())]
        return page(request, fitting, **self.paging)

    async def retrieve(self, request: Request) -> Answer:
        return self.answer(request, self.find(request))

    async def update(self, request: Request) -> Answer:
        item, body = self.find(request), request.json()
        if self.changeable is not None:
            body = {name: value for name, value in body.items() if name in self.changeable}
        self.change(request, item.shape, body)
        return self.answer(request, item)

    async def delete(self, request: Request) -> Answer:
        item = self.find(request)
        self.store(request).pop(request.params[self.param])
        gone = {self.deleted_id: item.id, "object": self.deleted or f"{self.name}.deleted", "deleted": True}
        return json_response(gone)

    def sets(self, **changes: Any) -> Handler:
        """A handler that sets some fields of an object."""

        async def act(request: Request) -> Answer:
            item = self.find(request)
            item.shape.update(changes)
            return self.answer(request, item)

        return act

    def routes(self, methods: str, streamed: tuple[str, ...] = (), **handlers: Handler) -> tuple[Route, ...]:
        """Routes for `methods`, words of METHODS; those in `streamed` read their own bodies.

        A handler in `handlers` replaces the method of its name, or answers a POST to that word behind an object;
        `get_word` answers a GET there.
        """
        rows = []
        for name in (*methods.split(), *(name for name in handlers if name not in methods.split())):
            handler = handlers.get(name) or getattr(self, name)
            if name in METHODS:
                method, path = METHODS[name], self.path if name in _OF_ALL else self.item_path
            else:
                word = name.removeprefix("get_")
                method, path = "GET" if word != name else "POST", f"{self.item_path}/{word}"
            rows.append(Route(method, path, handler, streamed=name in streamed))
        return tuple(rows)
