"""Queries that no page of the console writes, on every list and page: refused or passed over, never a traceback."""

import logging

import pytest
from django.contrib import admin
from django.urls import reverse

HUGE = "9" * 23
QUERIES = [
    {"id__exact": "abc"},
    {"id__exact": HUGE},
    {"pk__in": HUGE},
    {"pk__in": "1,,x"},
    {"started_at__gte": "x"},
    {"created_at__gte": "x"},
    {"created_at__year": HUGE},
    {"nope__nope": "1"},
    {"p": "999999"},
    {"p": "abc"},
    {"p": "²"},
    {"older": "²-" + "0" * 32},
    {"older": "9" * 5000 + "-" + "0" * 32},
    {"id__exact": "²"},
    {"id__exact": "9" * 5000},
    {"pk__in": "1,²"},
    {"o": "99"},
    {"o": "1.-x.--2"},
    {"_to_field": "nope"},
    {"e": "1", "id__exact": "²"},
    {"q": "²"},
    {"q": " ".join(str(number) for number in range(3000))},
    {"_facets": "²"},
    {"id__regex": "("},
    {"created_at__regex": "("},
    {"name__iregex": "(a+)+$"},
    {"id__range": "1"},
    {"name__contains": "x" * 60_000},
    {"q": "x" * 60_000},
    {"created_at_from_0": "9999-12-31", "created_at_to_0": "²"},
]
ACTIONS = [
    {"action": "delete_selected", "_selected_action": ["²", "abc", HUGE]},
    {"action": "delete_selected", "_selected_action": ["²"], "index": "99", "select_across": "²"},
    {"action": "²", "_selected_action": ["1"]},
]


def lists():
    for model in admin.site._registry:
        yield pytest.param(model, id=model._meta.label_lower)


@pytest.mark.parametrize("model", list(lists()))
def test_a_list_survives(as_root, caplog, model):
    address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    filters = [
        {getattr(entry, "parameter_name", None) or str(entry): value}
        for entry in admin.site._registry[model].list_filter
        if not isinstance(entry, tuple)
        for value in ("abc", HUGE, "²", "9" * 5000)
    ]
    assert as_root.get(address).status_code == 200
    answers = [(query, as_root.get(address, query)) for query in [*QUERIES, *filters]]  # raises what a page raises
    actions = [{"action": name, "_selected_action": ["²", HUGE]} for name in admin.site._registry[model].actions or ()]
    answers += [(query, as_root.post(address, query)) for query in [*ACTIONS, *actions]]
    for query, answer in answers:
        assert answer.status_code in {200, 302, 400, 403}, query
        assert answer.status_code != 400 or "console/errors.css" in answer.content.decode(), query
    assert [entry.getMessage() for entry in caplog.records if entry.levelno >= logging.ERROR or entry.exc_info] == []


BEGINNINGS = ("²", "[]", "a__b", "1e308", HUGE, "-1", "x", "", "0", "1,²", "9" * 5000, "{}", "٣", "null", "9999-99-99")


@pytest.mark.parametrize("model", list(lists()))
def test_a_form_survives_what_it_begins_with(as_root, caplog, model):
    """Every field of every form, from the address of the page that adds a row."""
    address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_add")
    first = as_root.get(address)
    if first.status_code != 200:
        assert first.status_code in {302, 403}
        return
    form = getattr(first.context.get("adminform"), "form", None)
    names = {*(form.fields if form else ()), *(field.name for field in model._meta.get_fields())}
    for value in BEGINNINGS:
        answer = as_root.get(address, dict.fromkeys(names, value))
        assert answer.status_code in {200, 400}, value
    assert [entry.getMessage() for entry in caplog.records if entry.levelno >= logging.ERROR or entry.exc_info] == []


PAGES = (
    ("/admin/usage/usagerecord/export/", {"id__exact": "²"}),
    ("/admin/usage/usagerecord/export/", {"older": "²"}),
    ("/admin/usage/usagerecord/export/", {"created_at__gte": "²"}),
    ("/admin/spend/", {"since": "²", "period": HUGE, "from": "0001-01-01", "to": "9999-12-31"}),
    ("/admin/spend/export/", {"since": "9" * 5000, "from": "²", "account": "²"}),
    ("/admin/models/", {"q": "²" * 5000, "account": HUGE}),
    ("/admin/playground/", {"request": "²" * 100}),
    ("/admin/providers/add/catalogue/", {"kind": "²"}),
    ("/admin/providers/add/subjects/", {"q": " ".join("x" * 3000)}),
    (
        "/admin/autocomplete/",
        {"app_label": "providers", "model_name": "grant", "field_name": "user", "term": "x " * 3000},
    ),
    ("/admin/autocomplete/", {"app_label": "²", "model_name": HUGE}),
)


@pytest.mark.parametrize(("page", "query"), PAGES)
def test_a_page_survives(as_root, caplog, page, query):
    assert as_root.get(page, query).status_code in {200, 400, 403, 404}
    assert [entry.getMessage() for entry in caplog.records if entry.levelno >= logging.ERROR or entry.exc_info] == []


def test_what_is_out_of_range_is_said(as_root):
    answer = as_root.get("/admin/accounts/user/", {"pk__in": HUGE})
    assert (answer.status_code, "out of range" in answer.content.decode()) == (400, True)
