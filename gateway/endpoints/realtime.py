"""``/realtime`` over HTTP: client secrets of ours for browsers, and what is refused because no one could meter it."""

import uuid
from time import time
from typing import Any, ClassVar

import msgspec

from accounts.caller import Caller
from gateway.access import accounts as access_accounts
from gateway.access import default_models
from gateway.access.authentication import refuse_duplicate_headers
from gateway.call.call import Call
from gateway.call.errors import InvalidRequest
from gateway.call.load import load
from gateway.call.operation import Operation
from gateway.call.reply import Reply
from gateway.call.request import InferenceRequest
from gateway.endpoints.base import InferenceView
from gateway.endpoints.describe import begin_call, json_reply, read_json_body
from gateway.objects import operations, ownership
from gateway.realtime import client_secrets, kinds
from gateway.realtime import targets as admission
from gateway.realtime.client_secrets import ClientSecret
from gateway.realtime.kinds import REALTIME, TRANSLATION, Kind
from providers.snapshot import AccountSnapshot, Target

LIFETIME_SECONDS = (10, 7200)
DEFAULT_SECONDS = 600
LEGACY_SECONDS = 60
_object = msgspec.json.Decoder(dict[str, Any])


class Expiry(msgspec.Struct):
    """When a client secret ends: ``seconds`` after it is made."""

    anchor: str = "created_at"
    seconds: int = DEFAULT_SECONDS


_expiry = msgspec.json.Decoder(Expiry | None)


class ClientSecrets(InferenceView):
    """Create a client secret. The upstream is not asked: no credential of the vendor's is ever returned."""

    operation: ClassVar[Operation] = operations.CLIENT_SECRETS
    kind: ClassVar[Kind] = REALTIME
    session_type: ClassVar[str] = ""
    """The type of every session; empty: the settings say whether it is ``realtime`` or ``transcription``."""

    async def post(self, request: InferenceRequest, **kwargs: Any) -> Reply:
        """Return the secret with the session's settings."""
        call = begin_call(request, self.caller, self.operation)
        await read_json_body(request, call, may_be_empty=True)
        session, seconds = self.read(call.body.fields)
        secret = await self._secret(call, session, seconds)
        return json_reply(self.answer(secret, client_secrets.mint(secret), session))

    def read(self, fields: dict[str, msgspec.Raw]) -> tuple[dict[str, Any], int]:
        """Return the session's settings and for how many seconds the secret lives."""
        return _settings(fields.get("session"), "session"), _seconds(fields.get("expires_after"))

    def answer(self, secret: ClientSecret, value: str, session: dict[str, Any]) -> dict[str, Any]:
        """Return the answer's body."""
        return {"value": value, "expires_at": secret.expires_at, "session": shown(secret, session)}

    async def _secret(self, call: Call, session: dict[str, Any], seconds: int) -> ClientSecret:
        kind = self.session_type or session.get("type") or "realtime"
        if kind not in kinds.SECRET_KINDS or kinds.SECRET_KINDS[kind] is not self.kind:
            raise InvalidRequest("'session.type' must be 'realtime' or 'transcription'.", param="session.type")
        if kind != "transcription" and not session.get("model"):
            chosen = default_models.choose(
                self.caller, self.kind.operation, call.account_name, prompt=bool(session.get("prompt"))
            )
            session["model"] = chosen.model.public_name
        named = dict(_named_models(session))
        model = named.get("model", "") or named.get("transcription", "")
        account = admission.account_for(self.caller, self.kind, "", call.account_name, model)
        assert account is not None  # only kinds whose models are named by events leave it open
        target = await _admit(call, account, session, named.get("model", ""))
        settings_kept = {**session, "type": kind}
        settings_kept.pop("model", None)
        settings_kept.pop("client_secret", None)
        if self.kind is TRANSLATION:
            settings_kept.pop("type")
        return ClientSecret(
            token_id=self.caller.token_id,
            account=account.name,
            model=target.model.name,
            kind=kind,
            expires_at=int(time()) + seconds,
            session=msgspec.json.encode(
                settings_kept if len(settings_kept) > 1 or "audio" in settings_kept else {}
            ).decode(),
        )


class TranslationSecrets(ClientSecrets):
    """Make a client secret for a translation session."""

    operation = operations.TRANSLATION_SECRETS
    kind = TRANSLATION
    session_type = "translation"


class Sessions(ClientSecrets):
    """Make a client secret the older way: the settings are the body, the secret is part of the answer."""

    operation = operations.REALTIME_SESSIONS
    session_type = "realtime"

    def read(self, fields: dict[str, msgspec.Raw]) -> tuple[dict[str, Any], int]:
        session = _settings(msgspec.Raw(msgspec.json.encode(fields)), "body")
        session.pop("client_secret", None)
        return session, _seconds(fields.get("expires_after"), LEGACY_SECONDS)

    def answer(self, secret: ClientSecret, value: str, session: dict[str, Any]) -> dict[str, Any]:
        return {
            **shown(secret, session),
            "client_secret": {"value": value, "expires_at": secret.expires_at},
        }


class TranscriptionSessions(Sessions):
    """Make a client secret for a transcription session the older way."""

    operation = operations.TRANSCRIPTION_SESSIONS
    session_type = "transcription"


class BrowserView(InferenceView):
    """A view that browsers use with a client secret, which acts for the holder of the token that created it."""

    secret: ClientSecret | None

    def admit(self, request: InferenceRequest) -> Caller:
        """Let in a caller who may open a socket."""
        if len(request.raw_headers) != len(request.scope["headers"]):
            refuse_duplicate_headers(request.scope)
        self.caller, self.secret = client_secrets.identify(request.raw_headers, ())
        request.ticket = load.begin(self.caller.key)
        return self.caller


class LiveCalls(BrowserView):
    """Refuses live sessions over WebRTC and SIP: no socket of ours can join one, to meter it and to end it."""

    async def post(self, request: InferenceRequest, **kwargs: Any) -> Reply:
        raise InvalidRequest(
            "Live sessions over WebRTC and SIP are not supported: they could be neither metered nor ended. Open a "
            "socket (/live/sessions), or begin a call with a realtime model (/realtime/calls).",
            code="calls_not_supported",
        )


def shown(secret: ClientSecret, session: dict[str, Any]) -> dict[str, Any]:
    """Return the settings as a client may see them: what was asked for, with the session's id and model."""
    view: dict[str, Any] = {**session, "type": secret.kind, "id": f"sess_{uuid.uuid4().hex[:21]}"}
    if secret.kind == "translation":
        return {**view, "expires_at": secret.expires_at, "model": secret.model, "audio": session.get("audio") or {}}
    view["object"] = "realtime.session" if secret.kind == "realtime" else "realtime.transcription_session"
    view["expires_at"] = 0
    if secret.kind == "realtime":
        view["model"] = secret.model
    return view


async def _admit(call: Call, account: AccountSnapshot, session: dict[str, Any], model: str) -> Target:
    """Return the session's model, after everything that its settings name was checked. They keep the names as given."""
    copy = msgspec.json.decode(msgspec.json.encode(session))
    targets = admission.admit_settings(call.caller, account, copy)
    call.references = [(field, name) for field, name in call.references if field != "item_reference"]
    for target in targets.values():
        call.references += admission.references_of(target)
    await ownership.check_references(call, account)
    return targets[("realtime",)] if model else Target(account, access_accounts.no_model(account))


def _named_models(session: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the models that settings name: the session's own as ``model``, a transcription's as ``transcription``."""
    return [
        ("model" if types == ("realtime",) else "transcription", name)
        for _, name, types in admission.models_in(session)
        if "responses" not in types
    ]


def _settings(raw: msgspec.Raw | None, param: str) -> dict[str, Any]:
    try:
        return _object.decode(raw or b"{}")
    except (ValueError, RecursionError):
        raise InvalidRequest(f"'{param}' must be an object.", param=param, code="invalid_type") from None


def _seconds(raw: msgspec.Raw | None, default: int = DEFAULT_SECONDS) -> int:
    least, most = LIFETIME_SECONDS
    try:
        expiry = _expiry.decode(raw) if raw is not None else None
    except (ValueError, RecursionError):
        expiry = Expiry(seconds=0)
    if expiry is None:
        return default
    if not least <= expiry.seconds <= most or expiry.anchor != "created_at":
        raise InvalidRequest(
            f'\'expires_after\' must be like {{"anchor": "created_at", "seconds": 600}}, from {least} to {most} '
            f"seconds.",
            param="expires_after",
            code="invalid_value",
        )
    return expiry.seconds
