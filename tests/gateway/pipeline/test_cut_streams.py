"""A stream that its upstream cuts before it says what it used is estimated, as one that its client leaves."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway.pipeline.test_left_calls import ANSWERED, ASKED, MESSAGES, stream_story
from tests.support.calls import CHAT_PATH
from tests.support.fixtures import USER
from tests.support.installation import Gateway, Installation
from tests.support.manifests import provider
from tests.support.stage import Stage, Turn


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, migrated_data: Path, stage: Stage) -> Iterator[Gateway]:
    with Installation(tmp_path_factory.mktemp("cut") / "data", migrated_data) as installation:
        installation.apply(provider("cutting", stage.url, models=["gpt-4o-mini"]))
        yield installation.gateway()


@pytest.fixture(scope="module")
def token(server: Gateway) -> str:
    return server.token("cut", user=USER)


@pytest.mark.parametrize("finish", [True, False], ids=["behind the finish reason", "before it"])
def test_a_stream_that_is_cut(server: Gateway, token: str, stage: Stage, finish: bool) -> None:
    stage.play(lambda turn: stream_story(turn, finish=finish))
    answer = server.post(token, CHAT_PATH, {"model": "cutting/gpt-4o-mini", "messages": MESSAGES, "stream": True})
    (record,) = server.installation.records(1, request_id=answer.headers["x-request-id"])
    assert (record["estimated"], record["input_tokens"]) == (True, ASKED)
    assert record["output_tokens"] == pytest.approx(ANSWERED, abs=1)
    assert record["error_class"] == ("" if finish else "upstream_stream_truncated")
    assert record["cost_pico"] > 0


def test_a_whole_stream_without_usage(server: Gateway, token: str, stage: Stage) -> None:
    def script(turn: Turn) -> None:
        stream_story(turn, finish=True)
        turn.event("[DONE]")

    stage.play(script)
    answer = server.post(token, CHAT_PATH, {"model": "cutting/gpt-4o-mini", "messages": MESSAGES, "stream": True})
    (record,) = server.installation.records(1, request_id=answer.headers["x-request-id"])
    assert (record["estimated"], record["input_tokens"]) == (False, 0)
