"""The passthrough's small resources: ChatKit, webhooks, voices, decisions, safety, provenance; every method of the
SDK.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from openai import NotFoundError, OpenAI

from tests.gateway.endpoints.test_resources_access import send
from tests.support.servers import wait_until
from tests.support.surface import Surface, picture

MODEL = "wide/gpt-4o-mini"
ALERT, CASE = "salert_sandbox", "scase_sandbox"


@pytest.fixture
def sdk(surface: Surface) -> OpenAI:
    """Ada's SDK, which refuses an answer that is not what its types say."""
    return surface.sdk(_strict_response_validation=True)


@pytest.fixture
def shared(surface: Surface) -> Iterator[OpenAI]:
    """Ada's SDK, for an account that shares everything: what the vendor's own pages made is reached only there."""

    def known() -> bool:
        return send(surface, surface.ada, "GET", f"safety/alerts/{ALERT}", x_tfy_provider_name="wide").is_success

    surface.installation.do("change_account", "wide", isolation="account")
    wait_until(known)
    yield surface.sdk(account="wide", _strict_response_validation=True)
    surface.installation.do("change_account", "wide", isolation="owner")
    wait_until(lambda: not known())


async def test_chatkit_sessions(surface: Surface, sdk: OpenAI) -> None:
    sessions = sdk.beta.chatkit.sessions
    made = sessions.create(
        user="ada@example.com", workflow={"id": "wf_1"}, rate_limits={"max_requests_per_1_minute": 3}
    )
    assert (made.status, made.max_requests_per_1_minute) == ("active", 3)
    assert sessions.cancel(made.id).status == "cancelled"
    raw = sessions.with_raw_response.create(user="ada@example.com", workflow={"id": "wf_1"})
    assert raw.headers["x-tfy-resolved-model"] == "wide"
    async with surface.async_sdk() as client:
        assert (await client.beta.chatkit.sessions.cancel(raw.parse().id)).status == "cancelled"


def test_chatkit_threads_are_their_users(surface: Surface, sdk: OpenAI, shared: OpenAI) -> None:
    """They are made by the page of an end user, past the gateway."""
    shared.beta.chatkit.sessions.create(user="u-2", workflow={"id": "wf_1"})
    threads = shared.beta.chatkit.threads
    (made,) = threads.list(user="u-2")
    assert threads.retrieve(made.id).user == "u-2"
    assert [item.type for item in threads.list_items(made.id, order="asc")] == [
        "chatkit.user_message",
        "chatkit.assistant_message",
    ]
    assert threads.delete(made.id).deleted
    with pytest.raises(NotFoundError):
        threads.retrieve(made.id)


def test_chatkit_threads_where_each_has_ones_own(surface: Surface, sdk: OpenAI) -> None:
    upstream = surface.upstream.client()
    upstream.beta.chatkit.sessions.create(user="u-3", workflow={"id": "wf_1"})
    (made,) = upstream.beta.chatkit.threads.list(user="u-3")
    threads = sdk.beta.chatkit.threads
    assert list(threads.list()) == []
    for act in (threads.retrieve, threads.delete, threads.list_items):
        with pytest.raises(NotFoundError):
            act(made.id)


async def test_webhooks(surface: Surface, shared: OpenAI) -> None:
    webhooks = shared.webhooks
    made = webhooks.create(name="a", url="https://hooks.example.com", event_types=["batch.completed"])
    assert made.signing_secret.startswith("whsec_")
    assert webhooks.retrieve(made.id).name == "a"
    assert webhooks.update(made.id, name="b").name == "b"
    assert made.id in [each.id for each in webhooks.list()]
    assert webhooks.test(made.id, event_type="batch.completed").success
    rotated = webhooks.rotate_secret(made.id)
    assert rotated.signing_secret != made.signing_secret
    assert "batch.completed" in webhooks.event_types.list().data
    async with surface.async_sdk() as client:
        assert (await client.webhooks.retrieve(made.id)).signing_secret_hint == rotated.signing_secret[-4:]
    assert webhooks.with_raw_response.delete(made.id).parse().deleted
    assert made.id not in [each.id for each in webhooks.list()]


async def test_voices(surface: Surface, sdk: OpenAI) -> None:
    sound = ("a.wav", b"RIFF", "audio/wav")
    consents = sdk.audio.voice_consents
    consent = consents.create(name="Ada", language="en-US", recording=sound)
    assert consents.retrieve(consent.id).language == "en-US"
    assert consents.update(consent.id, name="Ada L.").name == "Ada L."
    assert consent.id in [each.id for each in consents.list()]
    voices = surface.sdk().audio.voices  # OpenAI's description of a voice has no "type", which the SDK's has
    voice = voices.create(name="mine", consent=consent.id, audio_sample=sound)
    with pytest.raises(NotFoundError):
        surface.sdk(surface.bob).audio.voices.create(name="stolen", consent=consent.id, audio_sample=sound)
    async with surface.async_sdk() as client:
        assert (await client.audio.voices.delete(voice.id)).deleted
    assert consents.with_raw_response.delete(consent.id).parse().deleted


QUESTIONS: Any = [
    {"type": "predicate", "name": "rude", "instructions": "The text is rude."},
    {"type": "choice", "instructions": "Which?", "choices": [{"value": "a"}, {"value": True}]},
    {"type": "score", "instructions": "How good?", "levels": [{"label": "bad"}, {"label": "good"}]},
]


async def test_decisions(surface: Surface, sdk: OpenAI) -> None:
    def ask() -> None:
        made = sdk.decisions.create(model=MODEL, input="Good morning.", questions=QUESTIONS)
        assert [answer.type for answer in made.answers] == ["predicate", "choice", "score"]

    record = surface.record("decisions.create", ask)
    assert (record["model_served"], record["output_tokens"]) == ("gpt-4o-mini", 3)
    assert record["cost_pico"] > 0
    async with surface.async_sdk() as client:
        raw = await client.decisions.with_raw_response.create(model=MODEL, input="Hi.", questions=QUESTIONS[:1])
    assert raw.headers["x-tfy-resolved-model"] == MODEL
    with pytest.raises(NotFoundError):
        sdk.decisions.create(model="wide/unknown", input="Hi.", questions=QUESTIONS[:1])


def test_safety(surface: Surface, sdk: OpenAI, shared: OpenAI) -> None:
    assert shared.safety.alerts.retrieve(ALERT).error_type == "other"
    assert shared.safety.cases.with_raw_response.retrieve(CASE).parse().notice.type == "warning"


async def test_what_the_vendor_found_is_nobodys(surface: Surface, sdk: OpenAI) -> None:
    """An alert is about someone's calls, and nothing says whose: where callers are kept apart, no one gets to see
    it.
    """
    for act, object_id in ((sdk.safety.alerts.retrieve, ALERT), (sdk.safety.cases.retrieve, CASE)):
        with pytest.raises(NotFoundError):
            act(object_id)
    async with surface.async_sdk(account="wide") as client:
        with pytest.raises(NotFoundError):
            await client.safety.alerts.retrieve(ALERT)
    assert surface.upstream.requests() == []


async def test_provenance(surface: Surface, sdk: OpenAI) -> None:
    checks = sdk.content_provenance_checks
    assert [each.outcome for each in checks.create(file=("a.png", picture())).results] == ["not_detected"] * 2
    async with surface.async_sdk() as client:
        signed = await client.content_provenance_checks.create(file=("a.png", b"...c2pa..."))
    assert signed.results[0].outcome == "detected"


PATHS = (
    ("POST", "chatkit/sessions/{session}/cancel"),
    ("GET", "audio/voice_consents/{consent}"),
    ("POST", "audio/voice_consents/{consent}"),
    ("DELETE", "audio/voice_consents/{consent}"),
    ("DELETE", "audio/voices/{voice}"),
)


def test_nobody_else_reaches_them(surface: Surface, sdk: OpenAI) -> None:
    sound = ("a.wav", b"RIFF", "audio/wav")
    consent = sdk.audio.voice_consents.create(name="Ada", language="en-US", recording=sound).id
    ids = {
        "session": sdk.beta.chatkit.sessions.create(user="ada@example.com", workflow={"id": "wf_1"}).id,
        "consent": consent,
        "voice": surface.sdk().audio.voices.create(name="mine", consent=consent, audio_sample=sound).id,
    }
    surface.upstream.clear()
    for method, path in PATHS:
        for names in (ids, {name: f"{name}_unknown" for name in ids}):
            body: Any = {} if method == "POST" else None
            answer = send(surface, surface.bob, method, path.format(**names), body, x_tfy_provider_name="wide")
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found"), (method, path)
    assert surface.upstream.requests() == []
    for path in ("webhook_endpoints", "audio/voice_consents", "chatkit/threads"):
        listed = send(surface, surface.bob, "GET", path, x_tfy_provider_name="wide")
        assert listed.json()["data"] == []
