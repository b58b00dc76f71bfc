"""Numbers in queries, fields and answers that no machine can hold: refused or passed over, never an error of ours."""

from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from gateway.billing import usage
from gateway.body.requested_units import images
from gateway.call.body import Body
from gateway.call.call import Call
from tests.support.calls import assert_ours
from tests.support.surface import Surface
from usage.records import AttemptRecord

ODD = ["²", "9" * 5000, "-1", "1e3", "٣", "0x1", "1.0", " "]


@pytest.mark.parametrize("path", ["files", "batches", "fine_tuning/jobs", "chat/completions", "vector_stores"])
def test_a_lists_limit(surface: Surface, path: str) -> None:
    headers = {"authorization": f"Bearer {surface.ada}", "x-tfy-provider-name": "wide"}
    address = f"{surface.gateway.origin}/v1/{path}"
    for limit in ODD:
        answer = surface.gateway.http.get(address, params={"limit": limit}, headers=headers)
        assert_ours(answer, 400, "invalid_request", "limit")
    many = surface.gateway.http.get(f"{address}?" + "&".join(f"a{n}=1" for n in range(1001)), headers=headers)
    assert_ours(many, 400, "too_many_values")


@pytest.mark.parametrize("number", [*ODD, "10001", "100000000000000000000"])
def test_images_that_no_vendor_makes_count_as_one(number: str) -> None:
    upload: Any = SimpleNamespace(values={"n": number}, content_type="", sent=0)
    for body in (Body(upload=upload), Body(fields={"n": msgspec.Raw(msgspec.json.encode(number))})):
        assert images(cast(Call, SimpleNamespace(body=body))) == {"images": 1}


@pytest.mark.parametrize("seconds", ["1e308", "-1", "1e999"])
def test_a_duration_that_nothing_has(seconds: str) -> None:
    record = AttemptRecord("1", "req_1", 0)
    assert usage.read_usage(record, f'{{"input_tokens":3,"seconds":{seconds}}}'.encode()) is (seconds != "1e999")
    assert record.units == {}
    assert not usage.read_video(record, {"seconds": msgspec.Raw(f'"{seconds}"'.encode())})
    assert record.units == {}
