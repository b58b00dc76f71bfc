"""Every model that a call names beside the one that it asks for: in tools, graders and data sources, as fallbacks, in
lists.

One function for every way in: bodies, a session's settings, the lines of a batch. A name must mean a model of the
call's account that the caller may call, and becomes the upstream's name. Forms name their model in one part alone
(:mod:`gateway.body.upload`).
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from accounts.caller import Caller
from gateway.access import hidden_models
from gateway.access import models as access
from gateway.access.grants import is_limited, may_call_all
from gateway.access.model_names import is_fine_tuned
from gateway.body.described_fields import DESCRIBED_FIELDS
from gateway.body.json import decode_nested, is_given, refuse_nested_duplicates
from gateway.body.model_fields import (
    MAX_NAME_CHARACTERS,
    ROUTING_FIELDS,
    SAID_FIELDS,
    may_name,
    rename,
    routing_words,
    strings,
    tools_without_model,
)
from gateway.body.object_names import normal_id
from gateway.call.errors import Forbidden, InvalidRequest, ModelNotFound
from providers.routing.naming import CONFIGURING_FIELDS, INERT_FIELDS, is_naming
from providers.snapshot import AccountSnapshot, ModelSnapshot

Fields = Mapping[str, msgspec.Raw]
TOOLS = b'"tools"'
MAX_NAMED = 1000
MANY = 20  # as many strings take as long to check as a name to resolve
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def for_account(
    caller: Caller,
    account: AccountSnapshot,
    fields: Fields,
    inert: frozenset[str] = SAID_FIELDS,
    *,
    sent_as_is: bool = False,
) -> tuple[Fields, list[ModelSnapshot]]:
    """Return ``fields`` with every model but the top-level ``model`` by its upstream name on ``account``, and those
    models.

    Fields that name none stay as they came, byte for byte. ``inert`` are top-level fields that name nothing. Raises
    :class:`~gateway.call.errors.ModelNotFound` for a model that the caller may not call there, and
    :class:`~gateway.call.errors.InvalidRequest` for a field that is given twice where models are named, at any depth,
    and, when the body is ``sent_as_is``, for a name that is not the upstream's.
    """
    changed: dict[str, msgspec.Raw] = {}
    found: list[ModelSnapshot] = []
    for name, raw in fields.items():
        if name == "input" and name in inert:
            said = bytes(raw)
            if TOOLS in said or b"\\u00" in said:
                items, tools = _read_tools(said)
                named = rename_all(caller, account, tools, sent_as_is=sent_as_is)
                if named:
                    changed[name] = msgspec.Raw(_encode(items))
                found += named
            continue
        if name == "model" or name in inert or name in INERT_FIELDS:
            continue
        value = bytes(raw)
        if (
            is_naming(name, top=True)
            or name.casefold() in ROUTING_FIELDS
            or (value[:1] in (b"{", b"[") and may_name(value))
        ):
            holder = {name: decode_nested(value, name)}
            named = rename_all(caller, account, holder, sent_as_is=sent_as_is)
            if named:
                changed[name] = msgspec.Raw(_encode(holder[name]))
                found += named
        if name not in DESCRIBED_FIELDS:
            _check_words(caller, account, name, value)
    return ({**fields, **changed} if changed else fields), found


def rename_all(
    caller: Caller, account: AccountSnapshot, value: Any, *, sent_as_is: bool = False
) -> list[ModelSnapshot]:
    """Give every model in ``value``, decoded JSON, its upstream name; return them. A tool without a model uses the
    vendor's.

    Raises as :func:`for_account` does.
    """
    found: list[ModelSnapshot] = []

    def resolve(name: str) -> str:
        _check_count(len(found))
        model = access.on_account(caller, account, name).model
        if sent_as_is and model.upstream_id != name:
            raise InvalidRequest(
                f"Write the vendor's own model name here, {model.upstream_id!r}, not {name[:200]!r}.",
                param="model",
                code="bare_model_name_required",
            )
        found.append(model)
        return model.upstream_id

    for count, word in enumerate(routing_words(value)):
        _check_count(count)
        if access.is_narrowed(caller, account, word):
            raise access.not_found(word, f" on provider account {account.name!r}")
    rename(value, resolve)
    for tool in dict.fromkeys(tools_without_model(value)):
        _check_tool(caller, account, tool)
    return found


def _check_words(caller: Caller, account: AccountSnapshot, name: str, value: bytes) -> None:
    """Raise when a string in a field that no one describes is a model that the caller may not call, in any form."""
    looked_for = hidden_models.looked_for(caller, account)
    if looked_for is None or not (b"\\" in value or looked_for.search(value.lower())):
        return
    words = {word for word in strings(decode_nested(value, name)) if len(word) <= MAX_NAME_CHARACTERS}
    _check_count(len(words) // MANY)
    for word in words:
        for each in {word, *word.split(",")}:
            if hidden_models.is_hidden(caller, account, each.strip()):
                raise access.not_found(each, f" on provider account {account.name!r}")


def _check_count(count: int) -> None:
    if count >= MAX_NAMED:
        raise InvalidRequest(
            f"A call names at most {MAX_NAMED} models beside its own, or in what says how to route it.",
            code="too_many_values",
        )


def _check_tool(caller: Caller, account: AccountSnapshot, tool: str) -> None:
    """Raise unless the caller may call the model that the vendor takes for a tool which names none.

    One that the account does not list is left to the vendor, for callers whose token is not limited.
    """
    name = dict(account.vendor.tool_models).get(tool, "")
    limited = is_limited(caller, account)
    if not limited and not (name and access.is_narrowed(caller, account, name)):
        return
    try:
        access.on_account(caller, account, name)
    except ModelNotFound:
        takes = f"uses {name!r}" if name else "uses one of the provider's choice"
        raise ModelNotFound(
            f"The tool {tool[:200]!r} without a model {takes}, which does not exist on provider account "
            f"{account.name!r} or you do not have access to it. Name a model that you may call in the tool's 'model'.",
            param="tools",
        ) from None


def check_configuration(caller: Caller, account: AccountSnapshot, fields: Fields) -> None:
    """Raise :class:`~gateway.call.errors.Forbidden` for a field that names what the vendor keeps, with models of its
    choice, where some model of the account is not the caller's to call.
    """
    for name in fields:
        if name.lower() in CONFIGURING_FIELDS and is_given(fields, name) and not may_call_all(caller, account):
            raise Forbidden(
                f"{name!r} may name models of the provider account {account.name!r} that you may not call. Leave it "
                "out, and write what it holds into the request.",
                param=name,
                code="configuration_not_allowed",
            )


def references_to(models: Iterable[ModelSnapshot]) -> list[tuple[str, str]]:
    """Return those of ``models`` that are objects with an owner: fine-tuned ones that no administrator has listed."""
    return [
        ("model", normal_id(model.upstream_id))
        for model in models
        if not model.listed and is_fine_tuned(model.upstream_id)
    ]


def _read_tools(value: bytes) -> tuple[Any, list[Any]]:
    """Return the items of a response's input, and the tools that some of them bring along."""
    try:
        items = _decode(value)
    except (ValueError, RecursionError):
        raise InvalidRequest("We could not parse 'input'.", param="input", code="invalid_json") from None
    entries = items if isinstance(items, list) else []
    tools = [entry["tools"] for entry in entries if isinstance(entry, dict) and "tools" in entry]
    if tools:
        refuse_nested_duplicates(value, items)
    return items, [each for each in tools if isinstance(each, dict | list)]
