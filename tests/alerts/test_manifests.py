"""Manifests of channels and alerts: applied, exported without secrets, and applied again with nothing to do."""

import pytest

from alerts.models import Alert, Channel
from providers.manifests.apply import ManifestError, export_documents, to_yaml
from tests.support.manifest_tools import apply, changes, done

pytestmark = pytest.mark.django_db
MANIFESTS = """
type: gatehouse-channel
name: on-call
kind: pagerduty
secret: "${CHANNEL_ON_CALL_SECRET}"
---
type: gatehouse-channel
name: chat
kind: slack
address: "${CHANNEL_CHAT_ADDRESS}"
enabled: false
---
type: gatehouse-alert
name: keys
kind: failing_key
threshold: 3
severity: critical
channels: [on-call, chat]
---
type: gatehouse-alert
name: slow
kind: first_token_p95
threshold: 2500.5
minutes: 15
per: model
only: [openai-main/gpt-4o]
"""
SET = {"CHANNEL_ON_CALL_SECRET": "R0123456789abcdef", "CHANNEL_CHAT_ADDRESS": "https://hooks.slack.com/services/x"}


def exported() -> str:
    return to_yaml([one for one in export_documents() if one["type"].startswith("gatehouse-")])


def test_they_go_around() -> None:
    assert apply(MANIFESTS, environment=SET).count("add") == 4
    keys = Alert.objects.get(name="keys")
    assert (keys.per, keys.severity, keys.channels) == ("account", "critical", ["on-call", "chat"])
    text = exported()
    for secret in SET.values():
        assert secret not in text
    assert not apply(text, environment={}).changed
    Alert.objects.all().delete()
    Channel.objects.all().delete()
    apply(text, environment=SET)
    assert exported() == text
    assert Channel.objects.get(name="chat").channel_address == SET["CHANNEL_CHAT_ADDRESS"]


def test_a_new_secret_is_stored_and_never_shown() -> None:
    apply(MANIFESTS, environment=SET)
    plan = apply(MANIFESTS, environment={**SET, "CHANNEL_ON_CALL_SECRET": "Rfedcba9876543210"})
    assert changes(plan) == ["channel_secret: changed"]
    assert Channel.objects.get(name="on-call").channel_secret == "Rfedcba9876543210"


def test_another_address_needs_its_secret_again() -> None:
    apply(MANIFESTS, environment=SET)
    moved = MANIFESTS.replace("kind: pagerduty", "kind: pagerduty\naddress: https://events.eu.pagerduty.com/v2/enqueue")
    with pytest.raises(ManifestError, match="must be given again"):
        apply(moved, environment={})
    apply(moved, environment=SET)


def test_faults() -> None:
    with pytest.raises(ManifestError, match="CHANNEL_CHAT_ADDRESS is not set"):
        apply(MANIFESTS, environment={"CHANNEL_ON_CALL_SECRET": "R0123456789abcdef"})
    with pytest.raises(ManifestError, match="Plain http is refused"):
        apply(MANIFESTS, environment={**SET, "CHANNEL_CHAT_ADDRESS": "http://hooks.slack.com/x"})
    with pytest.raises(ManifestError, match="These channels do not exist: chat, on-call"):
        apply(MANIFESTS.replace("[on-call, chat]", "[chat, on-call]").partition("---\n")[2].partition("---\n")[2])
    with pytest.raises(ManifestError, match="Key refused by the provider is counted by provider account only"):
        apply(MANIFESTS.replace("kind: failing_key", "kind: failing_key\nper: model"), environment=SET)
    assert not Alert.objects.exists()


def test_prune() -> None:
    apply(MANIFESTS, environment=SET)
    only_keys = MANIFESTS[: MANIFESTS.rindex("---")]
    assert done(apply(only_keys, environment=SET, prune=True)) == ["- alert slow"]
