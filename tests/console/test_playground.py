"""The playground: a token of one's own, the gateway's own API, and what it came to."""

from django.test import Client
from django.urls import reverse

from accounts.models import ApiToken
from accounts.tokens import digest
from tests.console.conftest import signed_in
from tests.support.usage_rows import record
from usage.models import UsageRecord

TOKEN = "admin:playground_token"


def test_the_token_is_one_s_own_short_lived_and_used_again(installation):
    client = signed_in(installation.paul)
    first = client.post(reverse(TOKEN)).json()
    token = ApiToken.objects.get(digest=digest(first["secret"]))
    assert (token.user, token.name, first["fresh"]) == (installation.paul, "Playground", True)
    assert 3500 < first["seconds"] <= 3600
    second = client.post(reverse(TOKEN))
    assert (second.json()["secret"], second.json()["fresh"]) == (first["secret"], False)
    assert first["secret"] not in str(client.cookies)
    assert client.cookies["gatehouse_playground"]["httponly"]
    ApiToken.objects.filter(pk=token.pk).revoke()
    third = client.post(reverse(TOKEN)).json()
    assert third["secret"] != first["secret"], "a revoked one is not used again"


def test_a_token_is_not_taken_over_by_the_next_person_at_the_browser(installation):
    client = signed_in(installation.paul)
    first = client.post(reverse(TOKEN)).json()["secret"]
    client.force_login(installation.mia)
    second = client.post(reverse(TOKEN)).json()["secret"]
    assert first != second
    assert ApiToken.objects.get(digest=digest(second)).user == installation.mia


def test_it_takes_a_form_s_mark_and_a_session(installation):
    assert Client().post(reverse(TOKEN)).status_code == 302
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(installation.paul)
    assert strict.post(reverse(TOKEN)).status_code == 403
    assert not ApiToken.objects.filter(name="Playground").exists()


def test_what_a_call_came_to_is_shown_to_its_caller_only(installation, as_root):
    own = {"subject_name": "paul@example.com", "subject_id": installation.paul.pk, "account": "other-openai"}
    UsageRecord.objects.bulk_create(
        [
            record(request_id="req-a", cost_pico=2 * 10**10, **own),
            record(request_id="req-a", attempt_number=2, cost_pico=None, **own),
        ]
    )
    address = reverse("admin:playground_record")
    shown = signed_in(installation.paul).get(address, {"request": "req-a"}).json()
    assert shown["found"]
    assert (shown["input_tokens"], shown["cost"]["short"]) == (2408, "$0.02")
    assert as_root.get(address, {"request": "req-a"}).json()["found"]
    assert signed_in(installation.mia).get(address, {"request": "req-a"}).json() == {"found": False}
    assert signed_in(installation.paul).get(address, {"request": ""}).json() == {"found": False}
