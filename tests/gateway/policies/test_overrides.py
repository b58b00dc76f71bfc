"""What a routing sets is looked at once more when a call gets it, whatever was stored."""

import asyncio
from typing import Any

import msgspec
import pytest

from gateway.body.json import decode_fields
from gateway.call.body import Body
from gateway.call.call import Call
from gateway.call.errors import Forbidden, ModelNotFound
from gateway.call.headers import Options
from gateway.call.plan import Plan, PlannedTarget
from gateway.objects.operations import CHAT
from gateway.policies import access
from providers.snapshot import Target
from tests.support.snapshots import account, caller, model

CLOSED = frozenset({"user:2"})


def fitted(params: dict[str, Any]) -> dict[str, Any]:
    raw = b'{"model":"v/m","input":"hi"}'
    call = Call(caller(), CHAT, Options(), "req_1")
    call.body = Body(raw, decode_fields(raw))
    asked = model("m")
    target = Target(account(asked, model("closed", subjects=CLOSED)), asked)
    planned = PlannedTarget(
        target, params={name: msgspec.Raw(msgspec.json.encode(value)) for name, value in params.items()}
    )
    call.plan = Plan((planned,))
    asyncio.run(access.fit(call, planned))
    return {name: msgspec.json.decode(value) for name, value in call.body.fields.items()}


def test_what_names_nothing_is_set() -> None:
    assert fitted({"temperature": 0.5, "input": "said"})["input"] == "said"


@pytest.mark.parametrize(
    "params",
    [
        {"previous_response_id": "resp_1"},
        {"input": [{"type": "item_reference", "id": "msg_1"}]},
        {"tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]},
        {"unheard_of": {"store": "vs_abc123"}},
    ],
)
def test_objects_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(Forbidden, match="name objects"):
        fitted(params)


def test_models_that_the_caller_may_not_call_are_refused() -> None:
    with pytest.raises(ModelNotFound):
        fitted({"tools": [{"type": "image_generation", "model": "closed"}]})
    with pytest.raises(ModelNotFound):
        fitted({"provider": {"order": ["closed"]}})
