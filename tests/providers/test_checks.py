"""What ``manage.py check`` says about egress rules and stored keys."""

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection

from providers.models import ProviderAccount


def found(**options):
    return [
        (message.id, message.msg, message.hint)
        for message in run_checks(**options)
        if message.id.startswith("providers.")
    ]


def test_good_settings_pass(settings):
    settings.EGRESS_ALLOW = ["vllm.internal", "10.0.0.0/8", "::1"]
    assert found() == []


def test_a_bad_entry_stops_every_command(settings):
    settings.EGRESS_ALLOW = ["vllm.internal", "vllm.internal:8000"]
    [(code, message, hint)] = found()
    assert code == "providers.E001"
    assert "'vllm.internal:8000' is neither a host name nor a network." in message
    assert hint.startswith("Use names and networks")
    with pytest.raises(SystemCheckError, match=r"providers\.E001"):
        call_command("check")


@pytest.mark.parametrize("entry", ["0.0.0.0/0", "::/0"])
def test_an_entry_that_opens_everything_is_warned_of(settings, entry):
    settings.EGRESS_ALLOW = [entry]
    [(code, message, _)] = found()
    assert code == "providers.W001"
    assert entry in message


@pytest.mark.django_db
def test_keys_that_can_not_be_decrypted_are_told():
    account = ProviderAccount(name="openai-main")
    account.api_key = "sk-1"
    account.save()
    ProviderAccount.objects.create(name="other")
    assert found(databases=["default"]) == []
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE providers_provideraccount SET credentials = %s WHERE name = %s", [b"gAAAAAbroken", "openai-main"]
        )
    [(code, message, _)] = found(databases=["default"])
    assert code == "providers.E002"
    assert message == "The stored keys of openai-main were encrypted with another encryption key."
    assert found() == []  # without --database nothing is read


@pytest.mark.django_db
def test_before_the_first_migration_there_is_nothing_to_check():
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE providers_provideraccount RENAME TO hidden")
    assert found(databases=["default"]) == []
