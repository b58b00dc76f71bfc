"""What the console's lists are narrowed by, shared by several."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from django.forms import Form
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import TextFilter
from unfold.widgets import UnfoldAdminTextInputWidget

SUGGESTED: Final = 100


class SuggestingInput(UnfoldAdminTextInputWidget):
    """A text input that suggests some names and takes any."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__()
        self.names = list(names)

    def render(self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None) -> SafeString:
        options = format_html_join("", '<option value="{}"></option>', ((each,) for each in self.names))
        field = super().render(name, value, {**(attrs or {}), "list": f"{name}-names"}, renderer)
        return format_html('{}<datalist id="{}-names">{}</datalist>', field, name, options)


class NameFilter(TextFilter):
    """One of many by its whole name. The first few are suggested: a list of all could be larger than the page."""

    def names(self, request: HttpRequest, model_admin: Any) -> Iterable[str]:
        """Return the names that may be suggested, in order."""
        return ()

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        self._suggested = list(self.names(request, model_admin))[:SUGGESTED]
        return ()

    def choices(self, changelist: Any) -> Iterator[dict[str, Form]]:
        """Yield the form with its one field."""
        for choice in super().choices(changelist):
            choice["form"].fields[self.parameter_name].widget = SuggestingInput(self._suggested)
            yield choice
