"""``manage.py test_credentials``, as an operator's shell sees it."""

import io
import json

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from providers.models import Model
from tests.support.scripted_provider import KEY, account_at

REFUSED = "Incorrect API key provided: sk-test***cdef."


@pytest.fixture
def saved(db, upstream):
    account = account_at(upstream.url)
    account.save()
    Model.objects.create(account=account, name="gpt-4o-mini", model_types=["chat"])
    Model.objects.create(account=account, name="pictures", upstream_id="gpt-image-1", model_types=["image"])
    Model.objects.create(account=account, name="off", model_types=["chat"], enabled=False)
    return account


def run(*args):
    out = io.StringIO()
    try:
        call_command("test_credentials", *args, stdout=out)
    except CommandError as error:
        return out.getvalue(), str(error)
    return out.getvalue(), None


def test_the_command_tests_all_enabled_models(saved):
    out, error = run("openai-main")
    assert error is None
    first, second = out.splitlines()
    assert first.startswith("ok   openai-main/gpt-4o-mini: works in ")
    assert second == "ok   openai-main/pictures: works: is listed for this key; no call was made"


def test_the_command_fails_when_one_does_not_work(saved, upstream):
    upstream.error("/v1/chat/completions", 401, REFUSED)
    out, error = run("openai-main", "--json")
    assert error == "1 of 2 do not work."
    rows = json.loads(out)
    assert [(row["model"], row["state"], row["ok"]) for row in rows] == [
        ("openai-main/gpt-4o-mini", "bad_key", False),
        ("openai-main/pictures", "works", True),
    ]
    out, _ = run("openai-main", "--model", "openai-main/gpt-4o-mini")
    assert "FAIL openai-main/gpt-4o-mini: bad key: the upstream refuses the key (401: Incorrect API key" in out
    assert KEY not in out


def test_the_command_names_what_is_there(saved, upstream):
    assert "Valid values: gpt-4o-mini" in run("openai-main", "--model", "gpt-4o-mni")[1]
    assert "Valid values: openai-main" in run("openai-mian")[1]
    assert upstream.asked == []
    saved.any_model = True
    saved.save()
    assert run("openai-main", "--model", "gpt-4o")[1] is None
    assert upstream.asked[0][3]["model"] == "gpt-4o"


def test_the_command_says_when_the_stored_key_can_not_be_read(saved):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE providers_provideraccount SET credentials = %s", [b"gAAAAAbroken"])
    assert "encrypted with another encryption key" in run("openai-main")[1]
