"""What an upstream's answer to a test call means. Pure: an answer in, a verdict out.

Status before message; messages decide only where vendors use one status for several things.
"""

import re
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

from providers.redaction import REDACTED, redactor
from providers.upstream.sync_client import Reply, Unreachable

State = Literal[
    "works",
    "rate_limited",
    "no_quota",
    "bad_key",
    "no_access",
    "no_model",
    "wrong_url",
    "no_network",
    "egress_refused",
    "refused",
    "failed",
]
GOOD: Final = frozenset({"works", "rate_limited"})
LABELS: Final[dict[str, str]] = {
    "works": "works",
    "rate_limited": "works, but is rate limited now",
    "no_quota": "no credit left",
    "bad_key": "bad key",
    "no_access": "no access to the model",
    "no_model": "model not found",
    "wrong_url": "wrong URL",
    "no_network": "no network",
    "egress_refused": "address refused",
    "refused": "test call refused",
    "failed": "upstream failed",
}
BAD_KEY = re.compile(
    r"(invalid|incorrect|not valid|expired|missing|unauthori[sz]ed).{0,40}(api.?key|token|credential)"
    r"|(api.?key|token|credential)s?.{0,40}(invalid|incorrect|not valid|expired|missing)",
    re.I | re.S,
)
NO_MODEL = re.compile(
    r"model.{0,120}(not exist|not found|no access|not have access|not available|not allowed|unknown|invalid)"
    r"|(unknown|invalid|unsupported).{0,20}model\b|no such model|deployment.{0,60}not exist|DeploymentNotFound",
    re.I | re.S,
)
WRONG_PATH = re.compile(r"invalid url|unknown request url|no route|cannot (get|post)|^(resource )?not found$", re.I)
NO_QUOTA = re.compile(r"insufficient.?(quota|balance|credit|funds)|exceeded your current quota|billing", re.I)
# Vendors repeat the ends of a wrong key around stars: not even those belong on a page.
MASKED_KEY = re.compile(r"[\w.-]*\*{2,}[\w-]*")
DETAIL_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Verdict:
    """A state and a sentence about it; an empty sentence when there is nothing to add."""

    state: State
    detail: str


@dataclass(frozen=True, slots=True)
class _Fault:
    """An upstream's error object: its message, code and type as strings; ``shaped`` whether there was one at all."""

    message: str
    code: str
    kind: str
    shaped: bool


def judge(reply: Reply, field: str, secrets: list[str]) -> Verdict:
    """Return the verdict on ``reply``; a good answer is a JSON object with ``field``. ``secrets`` are blotted out."""
    status, fault = reply.status, _fault(reply)
    said = _said(fault, reply, secrets)
    if status == 200:
        return _judge_answer(reply, field)
    if 300 <= status < 400:
        return Verdict(
            "wrong_url", f"answers {status} and points to {_origin(reply.location)}; redirects are not followed"
        )
    if status == 402 or (status == 429 and _is_about(fault, NO_QUOTA)):
        return Verdict("no_quota", f"the key is good, but the account has no credit left ({said})")
    if status == 429:
        return Verdict("rate_limited", f"the key is good; the upstream limits its rate now ({said})")
    if status == 401:
        return Verdict("bad_key", f"the upstream refuses the key ({said})")
    if status in {400, 403, 404, 405, 410, 422} and not fault.shaped:
        return Verdict("wrong_url", f"answers {said}: no OpenAI-compatible address, or a proxy is in front of it")
    if status == 403:
        return _judge_forbidden(fault, said)
    if status in {404, 405, 410}:
        return _judge_missing(fault, said)
    if status in {400, 422}:
        return _judge_bad_request(fault, said)
    return Verdict("failed", f"the upstream answers {said}")


def unreachable(failure: Unreachable) -> Verdict:
    """Return the verdict on a call that brought no answer."""
    return Verdict("egress_refused" if failure.reason == "egress" else "no_network", str(failure))


def wants_completion_tokens(reply: Reply) -> bool:
    """Whether a reasoning model refused ``max_tokens`` in favour of ``max_completion_tokens``."""
    return reply.status == 400 and "max_completion_tokens" in _fault(reply).message


def _judge_answer(reply: Reply, field: str) -> Verdict:
    answer = _decode(reply.body)
    if isinstance(answer, dict) and field in answer:
        return Verdict("works", "")
    what = reply.content_type.split(";")[0] or "no content type"
    return Verdict("wrong_url", f"answers 200 with {what} that is not an OpenAI answer; check the address and its path")


def _judge_forbidden(fault: _Fault, said: str) -> Verdict:
    if _is_about(fault, BAD_KEY) and not _is_about(fault, NO_MODEL):
        return Verdict("bad_key", f"the upstream refuses the key ({said})")
    return Verdict("no_access", f"the key may not use this model ({said})")


def _judge_missing(fault: _Fault, said: str) -> Verdict:
    if WRONG_PATH.search(fault.message):
        return Verdict("wrong_url", f"this address does not have such a path ({said})")
    # Anthropic says "model: NAME" and no more.
    if fault.code == "model_not_found" or fault.message.startswith("model: ") or _is_about(fault, NO_MODEL):
        return Verdict("no_model", f"the address is right, but it has no such model for this key ({said})")
    if re.search(r"not a chat model|not supported in the v1/|does not support", fault.message, re.I):
        return Verdict("refused", f"the model can't be called for this; check its model types ({said})")
    return Verdict("wrong_url", f"this address does not have such a path ({said})")


def _judge_bad_request(fault: _Fault, said: str) -> Verdict:
    if fault.code == "model_not_found":
        return Verdict("no_model", f"the address is right, but it has no such model for this key ({said})")
    if _is_about(fault, BAD_KEY):
        return Verdict("bad_key", f"the upstream refuses the key ({said})")
    if _is_about(fault, NO_MODEL):
        return Verdict("no_model", f"the address is right, but it has no such model for this key ({said})")
    if re.search(r"max_tokens or model output limit", fault.message):
        return Verdict("works", "")  # a reasoning model that thought longer than the test allows: it ran
    return Verdict("refused", said)


def _is_about(fault: _Fault, pattern: re.Pattern[str]) -> bool:
    return any(pattern.search(text) for text in (fault.message, fault.code, fault.kind))


def _decode(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:
        return None


def _fault(reply: Reply) -> _Fault:
    """Read the error of an answer in the shapes that OpenAI, Google (a list of one), vLLM and FastAPI use."""
    answer = _decode(reply.body)
    if isinstance(answer, list) and answer:
        answer = answer[0]
    if not isinstance(answer, dict):
        return _Fault("", "", "", shaped=False)
    error = answer.get("error", answer)
    if isinstance(error, str):
        return _Fault(error, "", "", shaped=True)
    if not isinstance(error, dict):
        return _Fault("", "", "", shaped=False)
    message = error.get("message") or error.get("detail") or ""
    code, kind = error.get("code") or "", error.get("type") or error.get("status") or ""
    return _Fault(str(message), str(code), str(kind), shaped=bool(message or code))


def _said(fault: _Fault, reply: Reply, secrets: list[str]) -> str:
    """Return status and message in one line, without secrets and control characters, cut to a sensible length."""
    what = fault.message or reply.content_type.split(";")[0] or "no content"
    clean = redactor(tuple(secret.encode("utf-8", "surrogatepass") for secret in secrets))
    what = clean.text(what).replace(REDACTED.decode(), "[key]")
    what = MASKED_KEY.sub("[key]", what)
    what = re.sub(r"\s+", " ", "".join(sign if sign.isprintable() else " " for sign in what)).strip()
    if len(what) > DETAIL_CHARACTERS:
        what = what[:DETAIL_CHARACTERS] + "…"
    return f"{reply.status}: {what}"


def _origin(location: str) -> str:
    try:
        parts = urlsplit(location)
    except ValueError:
        return "elsewhere"
    return f"{parts.scheme}://{parts.hostname}" if parts.hostname else "another path"
