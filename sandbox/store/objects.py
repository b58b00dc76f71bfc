"""Objects of the caller: what is known of one, where it is kept, and how it is found."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sandbox.errors import ApiError
from sandbox.state import Store
from sandbox.store import paging
from sandbox.store.params import Body
from sandbox.wire.forms import Form
from sandbox.wire.messages import JSON, Headers, Request, Response, json_response

Shape = dict[str, Any]

# Makes the SDK's polling helpers wait this long, in milliseconds.
POLL_SOON: Headers = [(b"openai-poll-after-ms", b"50")]


@dataclass(slots=True)
class Item:
    """One object: `shape` as OpenAI shows it, `inner` what else is known of it, and the objects inside it."""

    shape: Shape
    inner: Any = None
    children: dict[str, Store[str, "Item"]] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return str(self.shape["id"])

    @property
    def status(self) -> str:
        return str(self.shape["status"])

    def within(self, name: str) -> Store[str, "Item"]:
        return self.children.setdefault(name, Store())


Items = Store[str, Item]


def add(store: Items, shape: Shape, inner: Any = None) -> Item:
    return store.put(str(shape["id"]), Item(shape, inner))


def page(request: Request, shapes: Iterable[Shape], **options: Any) -> Response:
    """A list of objects by the query's cursors; `options` are those of `paging.page`."""
    return json_response(paging.page(list(shapes), request.query(), **options))


def check_active(item: Item, what: str, *statuses: str) -> None:
    """Raises ApiError 400 unless the object is in one of `statuses`, in which it can be cancelled."""
    if item.status not in statuses:
        raise ApiError(f"Cannot cancel {what} with status '{item.status}'.")


async def body_or_form(request: Request) -> tuple[Body, Form]:
    """The fields of a `streamed` route that takes JSON or a form; the form is empty when it is JSON."""
    if request.header("content-type").startswith(JSON.decode()):
        request.body = b"".join([piece async for piece in request.stream()])
        return request.json(), Form()
    form = await request.form()
    return {name: values[0] for name, values in form.fields.items()}, form
