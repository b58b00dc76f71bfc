"""Models in the console: types and features as ticks, prices checked, access narrowed."""

import json

import pytest
from django.urls import reverse

from providers.choices import MODEL_TYPES
from providers.models import Grant, Model, ModelSubject, ProviderAccount
from tests.console.conftest import form_data, messages

LIST = "/admin/providers/model/"


@pytest.fixture
def send(installation, as_root):
    address = reverse("admin:providers_model_change", args=[installation.mine["model"].pk])

    def send(**changes):
        return as_root.post(address, form_data(as_root.get(address)) | changes)

    return send


def test_a_model_is_added_by_hand(installation, as_root):
    data = {
        "account": installation.mine["account"].pk,
        "name": "gpt-next",
        "upstream_id": "",
        "model_types": ["chat", "responses"],
        "features": ["streaming"],
        "price_source": "public",
        "private_price": "{}",
        "enabled": "on",
        "subjects-TOTAL_FORMS": 1,
        "subjects-INITIAL_FORMS": 0,
        "subjects-0-user": installation.paul.pk,
    }
    assert as_root.post(f"{LIST}add/", data).status_code == 302
    model = Model.objects.get(name="gpt-next")
    assert (model.model_types, model.features, model.upstream_id) == (["chat", "responses"], ["streaming"], "gpt-next")
    assert ModelSubject.objects.get(model=model).user == installation.paul
    again = as_root.post(f"{LIST}add/", data)
    assert "already exists" in str(again.context["adminform"].form.errors)


def test_ticks_show_and_take_types(installation, as_root, send):
    page = as_root.get(reverse("admin:providers_model_change", args=[installation.mine["model"].pk])).content.decode()
    assert page.count('type="checkbox" name="model_types"') == len(MODEL_TYPES)
    assert send(model_types=["embedding", "batch"]).status_code == 302
    installation.mine["model"].refresh_from_db()
    assert installation.mine["model"].model_types == ["embedding", "batch"]
    assert "model_types" in send(model_types=[]).context["adminform"].form.errors
    assert "model_types" in send(model_types=["telepathy"]).context["adminform"].form.errors


@pytest.mark.parametrize(
    ("price", "said"),
    [
        ('{"input_mtok": "1.5"', "valid JSON"),
        ('{"input_megatokens": 1}', "not a valid price. Did you mean input_mtok"),
        ('{"input_mtok": -1}', "not a price"),
        ("{}", "Give the private price"),
    ],
)
def test_a_private_price_is_checked(send, price, said):
    response = send(price_source="private", private_price=price)
    assert said in str(response.context["adminform"].form.errors["private_price"])


def test_prices_are_shown_as_they_would_be_billed(installation, as_root, send):
    assert "$0.15 input" in as_root.get(LIST).content.decode()
    price = json.dumps({"input_mtok": "1.5", "output_mtok": "0.0375"})
    assert send(price_source="private", private_price=price).status_code == 302
    assert "$1.50 input · $0.0375 output (private)" in as_root.get(LIST).content.decode()


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"type": "image"}, {"dall-e"}),
        ({"type": "chat"}, {"gpt-4o-mini"}),
        ({"enabled__exact": "0"}, {"old"}),
        ({"deprecated": "yes"}, {"old"}),
        ({"account": "other-openai", "type": "chat"}, {"gpt-4o-mini"}),
        ({"q": "upstream-of-dall"}, {"dall-e"}),
    ],
)
def test_the_list_is_searched_and_filtered(installation, as_root, query, names):
    account = installation.mine["account"]
    Model.objects.create(account=account, name="dall-e", upstream_id="upstream-of-dall-e", model_types=["image"])
    Model.objects.create(account=account, name="old", model_types=["batch"], enabled=False, deprecated_on="2025-01-01")
    assert {model.name for model in as_root.get(LIST, query).context["cl"].result_list} == names


def test_models_are_switched_off_and_on(installation, as_root):
    chosen = {"_selected_action": [installation.mine["model"].pk], "index": 0}
    assert "Disabled 1 model" in messages(as_root.post(LIST, chosen | {"action": "disable"}, follow=True))
    assert "Disabled 0 model" in messages(as_root.post(LIST, chosen | {"action": "disable"}, follow=True))
    assert "Enabled 1 model" in messages(as_root.post(LIST, chosen | {"action": "enable"}, follow=True))


def test_the_page_leads_to_the_calls_of_the_model(installation, as_root):
    page = as_root.get(reverse("admin:providers_model_change", args=[installation.mine["model"].pk])).content.decode()
    link = "/admin/usage/usagerecord/?model_asked=mine-openai%2Fgpt-4o-mini"
    assert link in page
    assert [row.account for row in as_root.get(link).context["cl"].result_list] == ["mine-openai"]


def test_a_virtual_models_page_shows_the_way_and_refuses_a_cycle(installation, as_root, as_mia):
    """What is behind a virtual model of an account that one does not manage stays out of sight."""
    target = installation.mine["model"].public_name
    smart, foreign = (ProviderAccount.objects.create(kind="virtual-model", name=name) for name in ("smart", "foreign"))
    Grant.objects.create(account=smart, role="manager", user=installation.mia)

    def virtual(account, name, *targets):
        listed = [{"target": each, "priority": number} for number, each in enumerate(targets)]
        routing = {"type": "priority-based-routing", "load_balance_targets": listed}
        return Model.objects.create(account=account, name=name, model_types=["chat"], routing=routing)

    virtual(foreign, "hidden", "other-openai/gpt-4o-mini")
    virtual(smart, "inner", target)
    outer = virtual(smart, "outer", "smart/inner", "foreign/hidden")
    address = reverse("admin:providers_model_change", args=[outer.pk])
    for client, sees in ((as_root, True), (as_mia, False)):
        page = client.get(address).content.decode()
        assert f"smart/inner: priority-based-routing over {target}" in page
        assert ("foreign/hidden: priority-based-routing" in page) is sees
    inner = reverse("admin:providers_model_change", args=[Model.objects.get(name="inner").pk])
    routing = {"type": "least-busy-routing", "load_balance_targets": [{"target": "smart/outer"}, {"target": target}]}
    data = form_data(as_root.get(inner)) | {"routing": json.dumps(routing)}
    (fault,) = as_root.post(inner, data).context["adminform"].form.errors["routing"]
    assert "smart/inner -> smart/outer -> smart/inner. Take one of them out." in fault
