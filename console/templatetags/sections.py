"""Breadcrumbs by the side bar: a page is called as its entry there, in the section of that entry."""

from typing import Any

from django import template

register = template.Library()


@register.filter
def in_section(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return unfold's breadcrumbs (``title`` and ``link``) with the side bar's section instead of Django's app."""
    from console.site import section_of  # Django loads tags while it loads the site

    section = section_of(str(parts[1].get("link") or "")) if len(parts) > 1 else ""
    return [{"title": section}, *parts[1:]] if section else parts
