"""Models that a body names below its top level: graders and data sources of evals, agents of agents."""

from typing import Any

import msgspec

from gateway.access import models as access
from gateway.call.call import Call
from gateway.call.errors import InvalidRequest
from providers.snapshot import AccountSnapshot, ModelSnapshot

# What callers keep in a body, or describe by a schema: a "model" in there is a word like any other.
INERT_FIELDS = frozenset({"item", "item_schema", "metadata", "parameters", "properties", "sample", "schema"})
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def resolve_nested_models(call: Call, account: AccountSnapshot) -> None:
    """Give every model below the top level its upstream name; raise for one that the caller may not call on ``account``.

    A body that names none stays as it came, byte for byte. A field that names one is encoded anew: a doubled name could hide
    another model. When a billed call names just one, that pays: ``call.payer``.
    """
    changed = False
    named: list[ModelSnapshot] = []
    for name, raw in call.body.fields.items():
        value = bytes(raw)
        if name in INERT_FIELDS or value[:1] not in (b"{", b"[") or not (b'"model"' in value or b"\\u00" in value):
            continue
        try:
            decoded = _decode(value)
        except (ValueError, RecursionError):
            raise InvalidRequest(f"We could not parse {name!r}.", param=name, code="invalid_json") from None
        models = _rewrite(call, account, decoded)
        named += models
        if models:
            call.body.fields[name] = msgspec.Raw(_encode(decoded))
            changed = True
    if changed:
        call.body.raw = _encode(call.body.fields)
    if call.operation.charges and not call.model_asked and len({model.name for model in named}) == 1:
        call.payer = named[0]


def _rewrite(call: Call, account: AccountSnapshot, value: Any) -> list[ModelSnapshot]:
    """Rewrite the models in ``value``; return them."""
    found: list[ModelSnapshot] = []
    pending = [value]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending.extend(entry for entry in node if isinstance(entry, dict | list))
            continue
        model = node.get("model")
        if isinstance(model, str) and model:
            upstream = access.resolve(call.caller, model, account.name)
            if upstream.account is not account:
                raise InvalidRequest(f"{model[:200]!r} is no model of {account.name!r}.", param="model")
            node["model"] = upstream.model.upstream_id
            found.append(upstream.model)
        pending.extend(
            child for key, child in node.items() if isinstance(child, dict | list) and key not in INERT_FIELDS
        )
    return found
