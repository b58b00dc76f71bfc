"""Going to an OpenID Connect provider and coming back: django-allauth's views, with what they take for granted checked.

Kept apart from ``accounts.openid``: importing it brings much that starting needs not.
"""

from typing import Any, Final

from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView, OAuth2LoginView
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.http import HttpRequest, HttpResponseBase

NEEDED: Final = ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri")
"""What a sign-in needs of a description; ``userinfo_endpoint`` is recommended (OpenID Connect Discovery 1.0, 3)."""


class BadDescription(Exception):
    """What is wrong with a provider's description of itself."""


class Described(OpenIDConnectOAuth2Adapter):  # type: ignore[misc]
    """Reads the description once a request; where it names no user info, the id token says who comes."""

    @property
    def openid_config(self) -> dict[str, Any]:
        """Return the description. Raises :class:`BadDescription`, and ``OSError`` when it can't be had."""
        if not hasattr(self, "_openid_config"):
            with get_adapter().get_requests_session() as session:
                answer = session.get(self.get_provider().server_url)
            answer.raise_for_status()
            self._openid_config = _checked(answer)
        found: dict[str, Any] = self._openid_config
        return found

    def complete_login(self, request: HttpRequest, app: Any, token: Any, **kwargs: Any) -> Any:
        """Return who comes. Raises ``OAuth2Error`` for an answer that does not say it."""
        claims = {}
        if kwargs["response"].get("id_token"):
            claims["id_token"] = self._decode_id_token(app, kwargs["response"]["id_token"])
        if self.openid_config.get("userinfo_endpoint"):
            claims["userinfo"] = self._fetch_user_info(token.token)
        if not claims or not all(isinstance(said, dict) and said.get("sub") for said in claims.values()):
            raise OAuth2Error("an id token or user info without a subject")
        return self.get_provider().sociallogin_from_response(request, claims)


class LoginView(OAuth2LoginView):  # type: ignore[misc]
    """django-allauth's view; the provider creates its own adapter on the way, which is ours, too."""

    def get_provider(self) -> Any:
        found = super().get_provider()
        found.oauth2_adapter_class = Described
        return found


def login(request: HttpRequest, provider_id: str) -> HttpResponseBase:
    """Lead to the provider. Raises like :attr:`Described.openid_config`."""
    answer: HttpResponseBase = LoginView.adapter_view(Described(request, provider_id))(request)
    return answer


def callback(request: HttpRequest, provider_id: str) -> HttpResponseBase:
    """Take the provider's answer. Raises like :attr:`Described.openid_config`."""
    answer: HttpResponseBase = OAuth2CallbackView.adapter_view(Described(request, provider_id))(request)
    return answer


def _checked(answer: Any) -> dict[str, Any]:
    try:
        said = answer.json()
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise BadDescription("is not a JSON object")
    missing = [name for name in NEEDED if not isinstance(said.get(name), str) or not said[name]]
    if missing:
        raise BadDescription(f"lacks {', '.join(missing)}")
    return said
