"""The legacy completions endpoint."""

import json
from typing import Any

import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from tests.support.openapi import assert_valid
from tests.support.sandbox_process import SandboxProcess

MODEL = "gpt-3.5-turbo-instruct"


def complete(client: OpenAI, prompt: Any, **options: Any) -> Any:
    raw = client.completions.with_raw_response.create(model=MODEL, prompt=prompt, **options)
    assert_valid("CreateCompletionResponse", raw.http_response.json())
    return raw.parse()


def test_a_text_is_completed_to_sixteen_tokens(client: OpenAI) -> None:
    answer = complete(client, "Count from 1 to 99.")

    assert answer.choices[0].text == " ".join(map(str, range(1, 17)))
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 16


def test_each_prompt_gets_its_choices(client: OpenAI) -> None:
    answer = complete(client, ["Count from 1 to 3.", "Count from 7 to 9."], n=2)

    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert answer.choices[0].text == "1 2 3"
    assert answer.choices[2].text == "7 8 9"


def test_echo_and_log_probabilities(client: OpenAI) -> None:
    answer = complete(client, "Count from 1 to 3.", echo=True, logprobs=2).choices[0]

    assert answer.text == "Count from 1 to 3.1 2 3"
    assert "".join(answer.logprobs.tokens) == answer.text
    assert [
        answer.text[at:].startswith(token)
        for at, token in zip(answer.logprobs.text_offset, answer.logprobs.tokens, strict=True)
    ] == [True] * len(answer.logprobs.tokens)
    assert all(len(top) == 2 for top in answer.logprobs.top_logprobs)


def test_an_insertion_leads_up_to_its_suffix(client: OpenAI) -> None:
    assert complete(client, "Count from 1 to 3.", suffix="4 5").choices[0].text == "1 2 3 "


@pytest.mark.parametrize("prompt", [[1, 2, 3], [[1, 2], [3]]])
def test_token_arrays(client: OpenAI, prompt: Any) -> None:
    answer = complete(client, prompt, max_tokens=50)
    assert "<|1|>" in answer.choices[0].text
    assert len(answer.choices) == (2 if isinstance(prompt[0], list) else 1)


def test_stop(client: OpenAI) -> None:
    assert complete(client, "Count from 1 to 9.", stop="3").choices[0].text == "1 2 "


def test_a_stream(sandbox: SandboxProcess) -> None:
    body = {"model": MODEL, "prompt": "Count from 1 to 3.", "stream": True, "stream_options": {"include_usage": True}}
    *lines, last = sandbox.post("/completions", body).text.removesuffix("\n\n").split("\n\n")
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines]

    assert last == "data: [DONE]"
    for chunk in chunks:
        # The description does not say so, but a chunk's finish_reason and usage may be null.
        shown = {
            **chunk,
            "choices": [{**choice, "finish_reason": choice["finish_reason"] or "stop"} for choice in chunk["choices"]],
        }
        assert_valid("CreateCompletionResponse", {k: v for k, v in shown.items() if v is not None})
    assert [chunk["choices"][0]["text"] for chunk in chunks[:-1]] == ["1", " 2", " 3", ""]
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * 4
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == 3


@pytest.mark.parametrize("options", [{"n": 3, "best_of": 2}, {"logprobs": 6}, {"max_tokens": -1}])
def test_bad_values_are_refused(client: OpenAI, options: dict[str, Any]) -> None:
    with pytest.raises(BadRequestError):
        complete(client, "x", **options)


def test_a_chat_model_is_told_where_to_go(client: OpenAI) -> None:
    with pytest.raises(NotFoundError, match="Did you mean to use v1/chat/completions"):
        client.completions.create(model="gpt-4o", prompt="x")
