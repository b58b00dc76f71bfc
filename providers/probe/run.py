"""Testing credentials: one real, cheap call per model, and what its answer says about key, access, address and network.

The command ``test_credentials`` and the admin's action both call :func:`probe_account`. A model type without a cheap
call (images, audio, realtime …) is looked up in the upstream's list of models instead, and the result says so.
"""

import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any, Literal
from urllib.parse import quote

import msgspec

from accounts.words import counted
from providers import azure, egress
from providers import headers as header_rules
from providers.account import request_headers
from providers.credentials.exchange import TokenRefused
from providers.credentials.held import held
from providers.credentials.kinds import BadCredentials
from providers.models import Model, ProviderAccount
from providers.probe import verdict as probe_verdict
from providers.probe import vertex
from providers.probe.verdict import State, Verdict
from providers.upstream.sync_client import (
    MAX_ANSWER_BYTES,
    CheckedClient,
    Reply,
    Resolve,
    Unreachable,
    resolve,
)
from providers.upstream.sync_tokens import authorization
from providers.vendor_row import Vendor

Via = Literal["call", "list", "nothing"]
WORKERS = 4
CONNECT_SECONDS = 10.0
READ_SECONDS = 30.0
_CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
_CONTENT: dict[str, Any] = {"parts": [{"text": "Hi"}]}
# The cheapest real call per dialect and model type, tried in this order: type, path, body (the model is added, where
# its name is not in the path), field of a good answer.
CALLS: dict[str, tuple[tuple[str, str, dict[str, Any], str], ...]] = {
    "openai": (
        ("chat", "chat/completions", _CHAT, "choices"),
        ("responses", "responses", {"input": "Hi", "max_output_tokens": 16, "store": False}, "output"),
        ("completion", "completions", {"prompt": "Hi", "max_tokens": 1}, "choices"),
        ("embedding", "embeddings", {"input": "Hi"}, "data"),
        ("moderation", "moderations", {"input": "Hi"}, "results"),
    ),
    "anthropic": (("chat", "messages", _CHAT, "content"),),
    "gemini": (
        (
            "chat",
            "{model}:generateContent",
            {"contents": [_CONTENT], "generationConfig": {"maxOutputTokens": 1}},
            "candidates",
        ),
        ("embedding", "{model}:embedContent", {"content": _CONTENT}, "embedding"),
    ),
}
LISTS = {"openai": ("data", "id"), "anthropic": ("data", "id"), "gemini": ("models", "name")}
"""What lists of models are called, and the name of a model in them."""
LEAST_COMPLETION_TOKENS = 16


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What testing one model brought.

    ``ok`` means that calls can be expected to work; ``via`` whether a real call was made, the model was only looked up
    in the upstream's list, or nothing was sent. ``detail`` is one sentence for people, without the key.
    ``milliseconds`` is how long the answer took, ``None`` without one.
    """

    model: str
    state: State
    ok: bool
    detail: str
    via: Via
    call: str = ""
    status: int | None = None
    milliseconds: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


def probe_account(
    account: ProviderAccount, models: Iterable[Model] | None = None, *, resolve: Resolve = resolve
) -> list[ProbeResult]:
    """Test ``account`` with each of ``models`` (default: all enabled ones) and return a result per model, in order.

    Neither the account nor the models need to be saved. An account without models is tested by listing the upstream's
    models (on Vertex AI by counting a word); so is each key behind the first one, with a result of its own. It takes at
    most about a minute per four models and per key; the database is not used meanwhile.
    """
    if models is None:
        models = list(account.models.filter(enabled=True)) if account.pk else []
    vendor: Vendor = account.vendor
    bare = _plan(Model(name="", model_types=[]), vendor)
    wanted = [(f"{account.name}/{model.name}", _plan(model, vendor)) for model in models]
    wanted = wanted or [(account.name, bare)]
    fault = _fault_before_calling(account)
    if fault:
        return [ProbeResult(name, fault.state, False, fault.detail, "nothing") for name, _ in wanted]
    try:
        client = account_client(account, resolve=resolve)
    except TokenRefused as refusal:
        return [ProbeResult(name, "bad_key", False, str(refusal), "nothing") for name, _ in wanted]
    seconds = 2 * (min(account.connect_timeout, CONNECT_SECONDS) + min(account.read_timeout, READ_SECONDS))
    secrets = _secrets(account)
    with client:
        results = _run(client, wanted, secrets, seconds=seconds)
    for key in list(account.keys)[1:]:
        with account_client(account, key=key, resolve=resolve) as other:
            results += _run(other, [(f"{account.name}, key {key}", bare)], secrets, seconds=seconds)
    return results


def account_client(
    account: ProviderAccount, *, key: str = "", resolve: Resolve = resolve, max_bytes: int = MAX_ANSWER_BYTES
) -> CheckedClient:
    """Return a client that calls as the account does: its headers, its key (of several the one called ``key``, or the
    first) or a token.

    Raises ``TokenRefused``, also for stored credentials that can't be read.
    """
    try:
        credential = account.credential
    except BadCredentials as fault:
        raise TokenRefused(str(fault)) from None
    bound = credential is not None and not account.secret_fault("credentials")
    signed = authorization(held(credential), resolve) if credential is not None and bound else {}
    return CheckedClient(
        azure.base_url(account.url, account.called_version),
        request_headers(account, key) | signed,
        connect_timeout=min(account.connect_timeout, CONNECT_SECONDS),
        read_timeout=min(account.read_timeout, READ_SECONDS),
        resolve=resolve,
        max_bytes=max_bytes,
    )


@dataclass(frozen=True, slots=True)
class _Plan:
    """The call for one model: no ``path`` means that the model is looked up, in a list that ``listed`` describes
    (``None``: there is none). ``note`` is what a good answer says where it is not a call of the model.
    """

    upstream_id: str
    path: str
    body: dict[str, Any]
    field: str
    listed: tuple[str, str] | None
    note: str = ""


def _plan(model: Model, vendor: Vendor) -> _Plan:
    upstream_id, dialect = model.upstream_id or model.name, vendor.dialect
    if vendor.vertex:
        of = vertex.claude_test_of if dialect == "anthropic" else vertex.test_of
        test = of(upstream_id, model.model_types, vendor.default_models[0])
        return _Plan(upstream_id, test.path, test.body, test.field, None, test.note)
    for model_type, path, body, field in CALLS[dialect]:
        if model_type in model.model_types:
            if "{model}" in path:
                path = path.format(model=_place(upstream_id, dialect))
            else:
                body = {"model": upstream_id, **body}
            if vendor.api_version:
                path, _ = azure.placed(path, "", upstream_id)
            return _Plan(upstream_id, path, body, field, None if vendor.deployments else LISTS[dialect])
    # Of what could be deployed, Azure's list says no deployment: it shows that the key is good, and no more.
    return _Plan("" if vendor.deployments else upstream_id, "", {}, "", LISTS[dialect])


def _place(upstream_id: str, dialect: str) -> str:
    """Return the path of a model's description; Gemini's tuned models have their own collection in their name."""
    name = quote(upstream_id, safe="/:@+")
    return name if dialect == "gemini" and "/" in name else f"models/{name}"


def _fault_before_calling(account: ProviderAccount) -> Verdict | None:
    if not account.url:
        return Verdict("wrong_url", "the account has no address")
    problem = egress.url_fault(account.url)
    if problem:
        return Verdict("egress_refused", problem)
    if account.secrets_fault():
        return Verdict("bad_key", account.secrets_fault())
    if account.vendor.needs_key and not account.credentials:
        return Verdict("bad_key", "no key is stored; a change of the address's host clears it")
    headers = request_headers(account)
    for name, value in headers.items():
        if not value or header_rules.value_fault(value) or not header_rules.NAME.fullmatch(name):
            field = header_rules.field_of(name, account.vendor.auth_header)
            problem = header_rules.UNSENDABLE if value else "is empty."
            return Verdict("bad_key" if field == "API key" else "refused", f"its {field} {problem}".rstrip("."))
    return None


def _run(
    client: CheckedClient, wanted: list[tuple[str, _Plan]], secrets: list[str], seconds: float
) -> list[ProbeResult]:
    pool = ThreadPoolExecutor(max_workers=WORKERS, thread_name_prefix="probe")
    try:
        futures = [pool.submit(_probe, client, name, plan, secrets) for name, plan in wanted]
        deadline = time.monotonic() + seconds * ceil(len(wanted) / WORKERS)
        return [_result(future, name, deadline) for future, (name, _) in zip(futures, wanted, strict=True)]
    finally:
        client.close()  # ends what still runs, so that no thread is left waiting for a slow upstream
        pool.shutdown(wait=False, cancel_futures=True)


def _result(future: "Future[ProbeResult]", name: str, deadline: float) -> ProbeResult:
    try:
        return future.result(timeout=max(0.0, deadline - time.monotonic()))
    except FutureTimeout:
        return ProbeResult(name, "no_network", False, "gave up: no whole answer in time", "call")


def _probe(client: CheckedClient, name: str, plan: _Plan, secrets: list[str]) -> ProbeResult:
    try:
        if not plan.path and plan.listed:
            return _listed(client, name, plan, secrets, plan.listed)
        reply = client.call("POST", plan.path, plan.body)
        if probe_verdict.wants_completion_tokens(reply):
            body = {key: value for key, value in plan.body.items() if key != "max_tokens"}
            reply = client.call("POST", plan.path, body | {"max_completion_tokens": LEAST_COMPLETION_TOKENS})
        verdict = probe_verdict.judge(reply, plan.field, secrets)
        if verdict.state == "refused" and plan.listed:
            return _listed(client, name, plan, secrets, plan.listed, after=verdict)
        if verdict.state == "works" and plan.note:
            verdict = Verdict("works", plan.note)
        return _made(name, verdict, "call", f"POST /{plan.path}", reply)
    except Unreachable as failure:
        verdict = probe_verdict.unreachable(failure)
        return ProbeResult(
            name, verdict.state, False, verdict.detail, "call", f"POST /{plan.path}" if plan.path else ""
        )


def _listed(
    client: CheckedClient,
    name: str,
    plan: _Plan,
    secrets: list[str],
    listing: tuple[str, str],
    after: Verdict | None = None,
) -> ProbeResult:
    """Look the model up, by itself or in the whole list. ``after`` is the refusal of the call that was tried before."""
    upstream_id, (rows, identifier) = plan.upstream_id, listing
    path = _place(upstream_id, "gemini" if identifier == "name" else "openai") if upstream_id else "models"
    field = identifier if upstream_id else rows
    reply = client.call("GET", path)
    verdict = probe_verdict.judge(reply, field, secrets)
    if upstream_id and verdict.state in {"wrong_url", "no_access", "no_model"}:
        whole = client.call("GET", "models")
        names = _names(whole, listing)
        if names is not None and whole.status == 200:
            path, reply = "models", whole
            known = upstream_id in names
            listed = counted(len(names), "model")
            missing = Verdict("no_model", f"{upstream_id!r} is not among the {listed} of this key")
            verdict = Verdict("works", "") if known else missing
    if verdict.state == "works":
        listed = counted(len(_names(reply, listing) or ()), "model")
        looked = "is listed for this key" if upstream_id else f"lists {listed} for this key"
        note = f"; the test call itself was refused: {after.detail}" if after else "; no call was made"
        verdict = Verdict("works", looked + (note if upstream_id else ""))
    elif after:
        verdict = after
    return _made(name, verdict, "list", f"GET /{path}", reply)


def _made(name: str, verdict: Verdict, via: Via, call: str, reply: Reply) -> ProbeResult:
    ok = verdict.state in probe_verdict.GOOD
    detail = verdict.detail or f"works in {reply.milliseconds} ms"
    return ProbeResult(name, verdict.state, ok, detail, via, call, reply.status, reply.milliseconds)


def _names(reply: Reply, listing: tuple[str, str]) -> set[str] | None:
    field, identifier = listing
    try:
        rows = msgspec.json.decode(reply.body)[field]
        return {str(row[identifier]).removeprefix("models/") for row in rows}
    except (msgspec.DecodeError, TypeError, KeyError):
        return None


def _secrets(account: ProviderAccount) -> list[str]:
    credential = account.credential
    own = credential.secrets if credential is not None else account.keys.values()
    token = (held(credential).value,) if credential is not None else ()
    return [value for value in (*own, *token, *account.extra_headers.values()) if len(value) >= 4]
