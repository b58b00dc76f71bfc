"""What the console's own pages share."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse


def page(request: HttpRequest, template: str, title: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
    """Return a page of the console with its navigation around."""
    shared = {**admin.site.each_context(request), "title": title, **context}
    return TemplateResponse(request, template, shared, status=status)


def base_url(request: HttpRequest) -> str:
    """Return the address that clients use: the public one, or the one that the browser used."""
    return f"{settings.PUBLIC_URL}/v1" if settings.PUBLIC_URL else own_url(request)


def own_url(request: HttpRequest) -> str:
    """Return the address of the API at the place that the browser has this page from."""
    return request.build_absolute_uri(f"{reverse('root')}v1")
