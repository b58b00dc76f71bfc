"""Objects of the caller that are made, listed, found and deleted all in the same way."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from sandbox.errors import ApiError
from sandbox.state import Store
from sandbox.store import paging
from sandbox.store.auth import owned
from sandbox.store.params import Body
from sandbox.wire.forms import Form
from sandbox.wire.messages import JSON, Headers, Request, Response, json_response

# Tells the SDK's polling helpers how long to wait, in milliseconds.
POLL_SOON: Headers = [(b"openai-poll-after-ms", b"50")]


@dataclass(slots=True)
class Item:
    """One object: `shape` as OpenAI shows it, `inner` what else is known of it, and the objects inside it."""

    shape: dict[str, Any]
    inner: Any = None
    children: dict[str, Store[str, "Item"]] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return str(self.shape["id"])

    def within(self, name: str) -> Store[str, "Item"]:
        return self.children.setdefault(name, Store())


Items = Store[str, Item]


def items(request: Request, name: str) -> Items:
    """The caller's objects of one kind, oldest first."""
    return owned(request.app.state, name)


def add(store: Items, shape: dict[str, Any], inner: Any = None) -> Item:
    return store.put(str(shape["id"]), Item(shape, inner))


def find(store: Items, item_id: str, what: str) -> Item:
    """`what` names the kind in the message; raises ApiError 404 when there is none with that id."""
    item = store.get(item_id)
    if item is None:
        raise ApiError(f"No {what} found with id '{item_id}'.", status=404)
    return item


def page(
    request: Request, found: Iterable[Item], show: Callable[[Item], dict[str, Any]] | None = None, **options: Any
) -> Response:
    """A list of objects by the query's cursors; `options` are those of `paging.page`."""
    shapes = [show(item) if show else item.shape for item in found]
    return json_response(paging.page(shapes, request.query(), **options))


def remove(store: Items, item: Item, object_name: str) -> Response:
    store.pop(item.id)
    return json_response({"id": item.id, "object": object_name, "deleted": True})


async def body_or_form(request: Request) -> tuple[Body, Form]:
    """The fields of a `streamed` route that takes JSON or a form; the form is empty when it is JSON."""
    if request.header("content-type").startswith(JSON.decode()):
        request.body = b"".join([piece async for piece in request.stream()])
        return request.json(), Form()
    form = await request.form()
    return {name: values[0] for name, values in form.fields.items()}, form
