"""The console's forms for provider accounts, models and who may use them. Secrets go in and never come out."""

from collections.abc import Callable, Collection
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminExpandableTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from accounts.fields import LinesField, PairsField
from providers.bound_secrets import SECRETS
from providers.choices import FEATURES, MODEL_TYPES, RESOURCE_SWITCHES
from providers.credentials.kinds import ENTRA_AUTHORITY, FIELDS, BadCredentials, described, entered
from providers.models import Grant, Model, ProviderAccount, stored_virtual_models
from providers.origins import origin
from providers.pricing.public import private_price_fault
from providers.reach import foreign_targets
from providers.routing.compiled import compile_routing
from providers.routing.nesting import nested
from providers.routing.shape import target_names
from providers.routing.words import routing_lines
from providers.secret_inputs import WriteOnlyTextarea, secret_input, stored_header_names, stored_key, stored_key_names
from providers.vendors import base_url_choices

MORE_KEYS = (
    "Several keys of the same account or project at the provider, a line each, 'name: key'. When one is refused or at "
    "its limit, calls go on with the next."
)
UNREADABLE = "can't be decrypted with the current GATEHOUSE_ENCRYPTION_KEYS"


class SuggestingTextInput(UnfoldAdminTextInputWidget):
    """A text input that suggests known values with their labels, and takes any other.

    ``suggestions`` are values, what they are for, and labels. The console's script shows those for the value of the
    field ``depends_on``; without it all are shown.
    """

    def __init__(
        self, suggestions: list[tuple[str, str, str]], depends_on: str, attrs: dict[str, Any] | None = None
    ) -> None:
        super().__init__(attrs)
        self.suggestions = suggestions
        self.depends_on = depends_on

    def render(self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None) -> SafeString:
        options = format_html_join("", '<option value="{}" data-for="{}">{}</option>', self.suggestions)
        field = super().render(name, value, {**(attrs or {}), "list": f"{name}-suggestions"}, renderer)
        return format_html(
            '{}<datalist id="{}-suggestions" data-depends-on="{}">{}</datalist>', field, name, self.depends_on, options
        )


def keep_old_name_field() -> forms.BooleanField:
    """Return the tick that keeps the former name of what is renamed as an alias."""
    return forms.BooleanField(
        label="Keep the old name",
        required=False,
        initial=True,
        widget=UnfoldBooleanSwitchWidget,
        help_text="When the name changes: calls, limits of tokens and objects go on under the old one, too.",
    )


def former_name(form: forms.ModelForm) -> str:
    """Return the name that the form's row had before and is to keep as an alias; empty when it keeps none."""
    kept = form.cleaned_data.get("keep_old_name") and "name" in form.changed_data
    return form.initial.get("name", "") if kept else ""


class ProviderAccountForm(forms.ModelForm):
    """Edits an account. The key and the extra headers are write-only: empty keeps what is stored."""

    api_key = forms.CharField(
        label="API key",
        required=False,
        max_length=8000,
        widget=secret_input(),
    )
    more_keys = PairsField(
        label="More API keys",
        required=False,
        widget=WriteOnlyTextarea(attrs={"spellcheck": "false", "autocomplete": "off"}),
    )
    remove_keys = forms.MultipleChoiceField(
        label="Remove keys", required=False, choices=(), widget=UnfoldAdminCheckboxSelectMultipleWidget
    )
    tenant_id = forms.CharField(label="Entra tenant id", required=False, widget=UnfoldAdminTextInputWidget)
    client_id = forms.CharField(label="Entra client id", required=False, widget=UnfoldAdminTextInputWidget)
    client_secret = forms.CharField(label="Entra client secret", required=False, widget=secret_input())
    authority = forms.CharField(
        label="Entra authority",
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text=f"Empty: {ENTRA_AUTHORITY}. Azure's clouds for governments and China have others.",
    )
    scope = forms.CharField(
        label="Entra scope",
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="What tokens are for. Empty: Azure's AI services. Microsoft Foundry may want "
        "https://ai.azure.com/.default.",
    )
    key_file = forms.CharField(
        label="Google service account",
        required=False,
        max_length=20_000,
        widget=WriteOnlyTextarea(attrs={"spellcheck": "false", "autocomplete": "off"}),
        help_text="The whole JSON of its key file.",
    )
    keep_old_name = keep_old_name_field()
    rename_anyway = forms.BooleanField(required=False, widget=forms.HiddenInput)
    consequences: Callable[..., list[str]]
    """What breaks with another name, given by the page."""
    clear_key = forms.BooleanField(label="Clear key", required=False, widget=UnfoldBooleanSwitchWidget)
    headers = PairsField(label="Extra headers", required=False)
    clear_headers = forms.BooleanField(label="Clear extra headers", required=False, widget=UnfoldBooleanSwitchWidget)
    open_resources = LinesField(
        required=False,
        help_text="OpenAI resources opened for passthrough, one name a line. Empty: none; * opens all. Valid values: "
        f"{', '.join(RESOURCE_SWITCHES)}.",
    )
    proxy_paths = LinesField(
        required=False,
        help_text="Path patterns allowed under /proxy/, one a line, for example v1/rerank or v1/agents/*.",
    )

    class Meta:
        model = ProviderAccount
        fields = [
            "kind",
            "name",
            "base_url",
            "api_version",
            "organization",
            "project",
            "connect_timeout",
            "read_timeout",
            "finish_seconds",
            "connection_limit",
            "enabled",
            "any_model",
            "discount_percent",
            "isolation",
            "open_resources",
            "proxy_paths",
            "register_fine_tuned",
            "default_models",
            "stream_usage",
        ]
        labels = {
            "base_url": "Base URL",
            "any_model": "Any model",
            "register_fine_tuned": "Register fine-tuned models",
            "default_models": "Default models",
            "stream_usage": "Usage of streams",
        }
        widgets = {
            "base_url": SuggestingTextInput(base_url_choices(), depends_on="kind"),
            "default_models": UnfoldAdminExpandableTextareaWidget(attrs={"spellcheck": "false"}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = stored_key_names(self.instance) if self.instance.pk else []
        if "remove_keys" in self.fields:
            self.fields["remove_keys"].choices = [(name, name) for name in names]  # type: ignore[attr-defined]
            if len(names) < 2:
                self.fields["remove_keys"].widget = forms.MultipleHiddenInput()
            stored = f" Stored: {', '.join(names)}; lines given here are added, or replace those of the same name."
            self.fields["more_keys"].help_text = MORE_KEYS + (stored if names else "")
        if self.instance.pk:
            self._say_what_is_stored()
        else:
            self.fields["keep_old_name"].widget = forms.HiddenInput()

    def _say_what_is_stored(self) -> None:
        host = origin(self.instance.url).host
        key, names = stored_key(self.instance), stored_header_names(self.instance)
        faults = {column: "" if None in (key, names) else self.instance.secret_fault(column) for column in SECRETS}
        said = {
            True: f"{self._stored() if key else ''}, entered for {host}. Leave empty to keep it.",
            False: "No key is stored.",
            None: f"The stored key {UNREADABLE}: enter it again.",
        }
        headers = (
            f"The stored headers {UNREADABLE}: enter them again, or clear them."
            if names is None
            else f"Stored: {', '.join(names)}. Leave empty to keep them; lines given here replace them all."
            if names
            else "None are stored."
        )
        for field, column, text in (("api_key", SECRETS[0], said[key]), ("headers", SECRETS[1], headers)):
            if field in self.fields:
                self.fields[field].help_text = f"Calls fail: {faults[column]}" if faults[column] else text

    def _stored(self) -> str:
        """Say what is stored to sign in with."""
        try:
            credential = self.instance.credential
        except BadCredentials as fault:
            return str(fault).rstrip(".")
        several = len(self.instance.keys)
        if several > 1:
            return f"{several} keys are stored, which one that is given here replaces"
        return "A key is stored" if credential is None else f"Stored: {described(credential)}"

    def _warn_of_renaming(self, cleaned: dict[str, Any]) -> None:
        """Refuse another name once, with what it breaks; the tick that appears then takes it."""
        old = self.initial.get("name")
        if (
            not self.instance.pk
            or "name" not in self.changed_data
            or cleaned.get("rename_anyway")
            or cleaned.get("keep_old_name")
            or "name" in self.errors
        ):
            return
        before = ProviderAccount.objects.only("name").get(pk=self.instance.pk)
        breaks = [
            *self.consequences(before, renamed=True),
            "callers that have the old name in their code or in a manifest",
        ]
        self.fields["rename_anyway"].widget = UnfoldBooleanSwitchWidget()
        self.fields["rename_anyway"].label = "Rename anyway"
        self.add_error(
            "name",
            f"Callers write {old}/MODEL: with another name these calls fail. Breaks: {'; '.join(breaks)}. Tick 'Keep "
            "the old name' to let them go on, or 'Rename anyway', and save again.",
        )

    def clean_api_key(self) -> str:
        key: str = self.cleaned_data["api_key"].strip()
        if not all("!" <= sign <= "~" for sign in key):
            raise ValidationError(
                "A key has no spaces, line breaks or special letters; part of something else came along."
            )
        return key

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        self._warn_of_renaming(cleaned)
        for value, clear in (("api_key", "clear_key"), ("headers", "clear_headers")):
            if cleaned.get(value) and cleaned.get(clear):
                self.add_error(clear, "Either give a new value or clear the stored one.")
        self._take_credential(cleaned)
        self._take_keys(cleaned)
        # The model checks the headers, so they have to be there before its own clean.
        if cleaned.get("api_key") or cleaned.get("clear_key"):
            self.instance.api_key = cleaned.get("api_key", "")
        elif cleaned.get("more_keys") or cleaned.get("remove_keys"):
            self.instance.change_keys(cleaned.get("more_keys") or {}, cleaned.get("remove_keys") or ())
        if cleaned.get("headers") or cleaned.get("clear_headers"):
            self.instance.extra_headers = cleaned.get("headers") or {}
        elif self.instance.pk and stored_header_names(self.instance) is None:
            self.instance.extra_headers_json = ""
            self.add_error("headers", "Enter the headers again or clear them: what is stored can't be decrypted.")
        return cleaned

    def _take_keys(self, cleaned: dict[str, Any]) -> None:
        """Refuse more keys beside what replaces all of them."""
        if not (cleaned.get("more_keys") or cleaned.get("remove_keys")):
            return
        if cleaned.get("api_key") or cleaned.get("clear_key") or any(cleaned.get(name) for name in FIELDS):
            self.add_error("more_keys", "Either change the keys, or give one key or other credentials instead of them.")
        elif self.instance.pk and stored_key(self.instance) is None:
            self.add_error("more_keys", f"What is stored {UNREADABLE}: enter one API key first.")

    def _take_credential(self, cleaned: dict[str, Any]) -> None:
        """Set what was entered instead of a key."""
        try:
            credential = entered({name: cleaned.get(name) or "" for name in FIELDS})
        except BadCredentials as fault:
            self.add_error(fault.field, str(fault))
            return
        if credential is None:
            return
        if cleaned.get("api_key") or cleaned.get("clear_key"):
            self.add_error("api_key", "Give either a key or other credentials.")
            return
        self.instance.credential = credential


class CapabilitiesForm(forms.ModelForm):
    """Edits a model: its types and features as ticks, its private price checked."""

    model_types = forms.MultipleChoiceField(
        label="Types",
        choices=[(name, name) for name in MODEL_TYPES],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="What it may be called for. Anything else is refused before the vendor is called.",
    )
    features = forms.MultipleChoiceField(
        choices=[(name, name) for name in FEATURES],
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="What it can do within a call. Shown to callers in the model list; nothing is refused for it.",
    )

    keep_old_name = keep_old_name_field()

    class Meta:
        model = Model
        fields = [
            "account",
            "name",
            "upstream_id",
            "model_types",
            "features",
            "price_source",
            "private_price",
            "context_window",
            "max_output_tokens",
            "deprecated_on",
            "enabled",
            "routing",
        ]
        widgets = {
            "routing": UnfoldAdminExpandableTextareaWidget(attrs={"spellcheck": "false"}),
            "private_price": UnfoldAdminExpandableTextareaWidget(attrs={"spellcheck": "false"}),
        }

    targets: Collection[str] | None = None
    """The accounts whose models a virtual model may name, given by the page; ``None``: any."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.instance.pk:
            self.fields["keep_old_name"].widget = forms.HiddenInput()
        elif self.instance.routing and "routing" in self.fields:
            self.fields["routing"].help_text = format_html('Now: <pre class="gh-body">{}</pre>', self._ways())

    def _ways(self) -> str:
        """Return what calls of the virtual model go to, through other virtual models, too, as far as the person may see
        those; nothing for what a newer version wrote."""
        name = self.instance.public_name
        try:
            routing = nested(compile_routing(self.instance.routing), stored_virtual_models(self.targets), name)
        except (LookupError, TypeError, ValueError):
            return ""
        return "\n".join(routing_lines(name, routing))

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        price = cleaned.get("private_price")
        if price:
            fault = private_price_fault(price)
            if fault:
                self.add_error("private_price", fault)
        elif cleaned.get("price_source") == Model.PriceSource.PRIVATE and "private_price" not in self.errors:
            self.add_error("private_price", "Give the private price, or choose the public price list.")
        return cleaned

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        named = target_names(self.cleaned_data.get("routing"))
        foreign = foreign_targets(named, self.targets) if self.targets is not None and named else []
        if foreign:
            self.add_error("routing", f"Only models of accounts that you manage: not {', '.join(foreign)}.")


class GrantForm(forms.ModelForm):
    """A role for one subject. Giving it a second time is an error of the form, not of the database."""

    class Meta:
        model = Grant
        fields = ("account", "role", "everyone", "user", "team", "virtual_account")

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        grant = self.instance
        if self.errors or not grant.account_id:
            return
        same = Grant.objects.filter(account=grant.account_id, role=grant.role, key=grant.subject_key())
        if same.exclude(pk=grant.pk).exists():
            self.add_error(None, f"{grant} has this role on {grant.account} already.")
