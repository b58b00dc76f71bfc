"""Resources that only keep what they are told: a row says how an object looks, and its routes follow from it."""

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from sandbox.store import params
from sandbox.store.objects import Item, Items, add, find, items, page, remove
from sandbox.store.params import Body
from sandbox.wire.messages import Answer, Request, json_response
from sandbox.wire.routing import Route

Shape = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """One kind of object.

    `path` is its collection, `param` what the path calls its id, `name` its `object`. `fields` are what a body may set, with
    what they are when it does not; a given object goes into the default one. `fixed` are fields that no body sets. `complete`
    finishes a new or changed shape by the body. What stands in `parent` is found there.
    """

    path: str
    param: str
    prefix: str
    name: str
    required: tuple[str, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    times: tuple[str, ...] = ("created_at",)
    complete: Callable[[Request, Shape, Body], None] | None = None
    parent: "Kind | None" = None

    @property
    def item_path(self) -> str:
        return f"{self.path}/{{{self.param}}}"


def store(request: Request, kind: Kind) -> Items:
    """The caller's objects of a kind, within the parent that the path names."""
    return item(request, kind.parent).within(kind.path) if kind.parent else items(request, kind.path)


def item(request: Request, kind: Kind) -> Item:
    """The object of a kind that the path names; raises ApiError 404 when there is none."""
    return find(store(request, kind), request.params[kind.param], kind.name)


def new(request: Request, kind: Kind, body: Body) -> Item:
    """A new object, kept; raises ApiError 400 when the body lacks something."""
    for name in kind.required:
        params.required(body, name)
    state = request.app.state
    shape: Shape = {"id": state.new_id(kind.prefix), "object": kind.name}
    shape |= dict.fromkeys(kind.times, state.created())
    shape |= deepcopy({**kind.fixed, **kind.fields})
    if kind.parent is not None:
        shape[kind.parent.param] = request.params[kind.parent.param]
    change(request, kind, shape, body)
    return add(store(request, kind), shape)


def change(request: Request, kind: Kind, shape: Shape, body: Body) -> None:
    """Takes what the body gives of a kind's fields into `shape`."""
    for name, default in kind.fields.items():
        given = body.get(name)
        if name == "metadata" and given is not None:
            shape[name] = params.metadata(body)
        elif isinstance(given, dict) and isinstance(default, dict):
            shape[name] = {**shape[name], **given}
        elif given is not None:
            shape[name] = given
    if kind.complete is not None:
        kind.complete(request, shape, body)
    if "updated_at" in shape:
        shape["updated_at"] = request.app.state.created()


def routes(kind: Kind, methods: str = "create list retrieve update delete", **actions: Shape) -> tuple[Route, ...]:
    """The routes of a kind; an action is a word behind an object that sets some of its fields."""
    handlers = {
        "create": ("POST", kind.path, _create),
        "list": ("GET", kind.path, _list),
        "retrieve": ("GET", kind.item_path, _retrieve),
        "update": ("POST", kind.item_path, _update),
        "delete": ("DELETE", kind.item_path, _delete),
    }
    made = [(method, path, handler(kind)) for method, path, handler in _chosen(handlers, methods.split())]
    made += [("POST", f"{kind.item_path}/{word}", _act(kind, changes)) for word, changes in actions.items()]
    return tuple(Route(*row) for row in made)


def _chosen(handlers: Mapping[str, Any], names: Iterable[str]) -> list[Any]:
    return [handlers[name] for name in names]


Handler = Callable[[Request], Any]


def _create(kind: Kind) -> Handler:
    async def create(request: Request) -> Answer:
        return json_response(new(request, kind, request.json()).shape)

    return create


def _list(kind: Kind) -> Handler:
    async def list_objects(request: Request) -> Answer:
        return page(request, store(request, kind))

    return list_objects


def _retrieve(kind: Kind) -> Handler:
    async def retrieve(request: Request) -> Answer:
        return json_response(item(request, kind).shape)

    return retrieve


def _update(kind: Kind) -> Handler:
    async def update(request: Request) -> Answer:
        found = item(request, kind)
        change(request, kind, found.shape, request.json())
        return json_response(found.shape)

    return update


def _delete(kind: Kind) -> Handler:
    async def delete(request: Request) -> Answer:
        return remove(store(request, kind), item(request, kind), f"{kind.name}.deleted")

    return delete


def _act(kind: Kind, changes: Shape) -> Handler:
    async def act(request: Request) -> Answer:
        found = item(request, kind)
        found.shape.update(changes)
        return json_response(found.shape)

    return act
