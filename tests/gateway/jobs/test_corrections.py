"""What was charged when it was begun, and failed later, is taken back: once, exactly, and seen in every report."""

import json
from typing import Any

import msgspec
import pytest
from openai import OpenAI

from gateway.jobs.correction import corrections
from gateway.jobs.upstream import Answer
from gateway.models import OwnedObject
from tests.support.servers import wait_until
from tests.support.surface import Surface
from tests.support.usage_factory import attempt
from usage import rows

pytestmark = pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")
VIDEO = "wide/sora-2"
PICO = 10**12


@pytest.fixture
def sdk(surface: Surface) -> OpenAI:
    return surface.sdk(account="wide")


def begun(surface: Surface, sdk: OpenAI, prompt: str) -> dict[str, Any]:
    """Begin a video of eight seconds and wait for its end at the upstream; return the record of its call."""
    videos: list[Any] = []

    def create() -> None:
        videos.append(sdk.videos.create(model=VIDEO, prompt=prompt, seconds="8"))

    record = surface.record("video.create", create)
    wait_until(lambda: sdk.videos.retrieve(videos[0].id).status in ("completed", "failed"))
    return {**record, "video_id": videos[0].id}


def poll(surface: Surface, video_id: str) -> None:
    surface.installation.do("age_objects", 10, object_id=video_id)
    surface.installation.do("poll_background")


def test_a_failed_video_costs_nothing_in_the_end(surface: Surface, sdk: OpenAI) -> None:
    charged = begun(surface, sdk, "A cat. [[sandbox: fail]]")
    assert charged["cost_pico"] == 8 * PICO // 10
    for _ in range(3):  # however often it is polled
        surface.installation.do("make_due", charged["video_id"])
        surface.installation.do("poll_background")
    both = surface.installation.records(2, request_id=charged["request_id"])
    assert [record["cost_pico"] for record in both] == [charged["cost_pico"], -charged["cost_pico"]]
    _, correction = both
    assert correction["units"] == {name: -count for name, count in charged["units"].items()}
    same = ("account", "subject_name", "model_asked", "model_served", "operation", "endpoint", "token_id", "provider")
    assert {name: correction[name] for name in same} == {name: charged[name] for name in same}
    assert (correction["error_class"], correction["object_id"]) == ("video_failed", charged["video_id"])
    assert correction["created_at"] > charged["created_at"]
    (known,) = surface.installation.do("owned", object_id=charged["video_id"])
    assert (known["state"], known["due_at"], known["fault"]) == ("failed", None, "")


def test_reports_come_to_what_the_vendor_bills(surface: Surface, sdk: OpenAI) -> None:
    who = surface.sdk(surface.bob, account="wide")

    def total() -> dict[str, Any]:
        shown = surface.installation.do("manage", "usage_report", "--group-by", "user,operation", "--json")
        rows = json.loads(shown)["rows"]
        found = [row for row in rows if (row["user"], row["operation"]) == ("bob@example.com", "video.create")]
        return found[0] if found else {"cost": "0.000000000000", "requests": 0}

    before = total()
    failed = begun(surface, who, "A cat. [[sandbox: fail]]")
    done = begun(surface, who, "A dog.")
    for record in (failed, done):
        poll(surface, record["video_id"])
    surface.installation.records(2, request_id=failed["request_id"])
    after = total()
    assert round((float(after["cost"]) - float(before["cost"])) * PICO) == done["cost_pico"]
    assert after["requests"] - before["requests"] == 2


def test_a_video_that_is_done_stays_charged(surface: Surface, sdk: OpenAI) -> None:
    charged = begun(surface, sdk, "A dog.")
    poll(surface, charged["video_id"])
    (known,) = surface.installation.do("owned", object_id=charged["video_id"])
    assert (known["state"], known["due_at"]) == ("completed", None)
    assert len(surface.installation.records(1, request_id=charged["request_id"])) == 1


def test_deleting_a_failed_video_first_takes_the_charge_back_too(surface: Surface, sdk: OpenAI) -> None:
    charged = begun(surface, sdk, "A cat. [[sandbox: fail]]")
    sdk.videos.delete(charged["video_id"])
    both = surface.installation.records(2, request_id=charged["request_id"])
    assert sum(record["cost_pico"] for record in both) == 0


@pytest.mark.django_db
def test_what_was_taken_back_is_not_taken_back_again() -> None:
    """Its time is that of the correction: another one's might be in another partition of the records."""
    charge = attempt(units={"seconds": 8})
    data = {"request_id": charge.request_id}
    row = OwnedObject(account_name=charge.account, object_id="video_1", kind="video", data=data)
    assert rows.store([msgspec.json.encode(charge)], "default") == []
    failed = Answer(200, {"status": msgspec.Raw(b'"failed"')})
    made = corrections(row, failed)
    assert [record.cost_pico for record in made] == [-124_500_000]
    assert rows.store([msgspec.json.encode(record) for record in made], "default") == []
    assert corrections(row, failed) == []
