"""The ways in, below ``/admin/sign-in/``: open to everyone. django-allauth leads to them by these names."""

from django.conf import settings
from django.urls import path
from django.views.generic import RedirectView

from console.pages import sign_in

PROVIDER = {"provider_id": settings.OIDC_PROVIDER}

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:login"), name="account_login"),
    path("code/", sign_in.code, name="mfa_authenticate"),
    path("openid/", sign_in.openid, PROVIDER, name="openid_connect_login"),
    path("openid/callback/", sign_in.openid_callback, PROVIDER, name="openid_connect_callback"),
    path("link/", sign_in.link, name="sign_in_link"),
    path("invitation/", sign_in.invitation, name="invitation"),
]
