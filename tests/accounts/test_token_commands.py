"""create_token, revoke_token and list_tokens, as an operator's shell sees them."""

import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from accounts import tokens
from accounts.issuing import parse_expiry
from accounts.models import ApiToken, Change, User, VirtualAccount
from providers.models import Model, ProviderAccount

pytestmark = pytest.mark.django_db


def run(*args):
    """Run a command; return what it wrote to standard output and to standard error."""
    out, err = io.StringIO(), io.StringIO()
    call_command(*args, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def create(*args):
    return run("create_token", *args)[0].strip()


def test_the_token_stands_alone_on_standard_output():
    out, err = run("create_token", "--user", "Ana@Example.com ", "--name", "laptop")
    assert out.count("\n") == 1
    secret = out.strip()
    assert tokens.fault(secret) is None
    token = ApiToken.objects.get()
    assert token.digest == tokens.digest(secret)
    assert (token.name, token.user.email, token.expires_at, token.limits) == ("laptop", "ana@example.com", None, [])
    assert (
        "Made ana@example.com; until an account is granted to them, they may call what is granted to everyone." in err
    )
    assert token.prefix in err
    assert secret not in err


def test_a_made_user_can_not_sign_in_and_a_second_token_makes_no_second_user():
    create("--user", "ana@example.com", "--name", "one")
    assert "Made" not in run("create_token", "--user", "ANA@example.com", "--name", "two")[1]
    user = User.objects.get()
    assert not user.has_usable_password()
    assert not user.is_staff
    assert user.tokens.count() == 2


def test_a_token_of_a_virtual_account_with_limits_and_expiry():
    ProviderAccount.objects.create(name="openai-main")
    groq = ProviderAccount.objects.create(name="groq", kind="groq")
    Model.objects.create(account=groq, name="llama-3.3:70b", model_types=["chat"])
    _, err = run(
        "create_token", "--virtual-account", "search-app", "--name", "prod", "--expires", "90d",
        "--limit", "openai-main", "--limit", "groq/llama-3.3:70b",
    )  # fmt: skip
    token = ApiToken.objects.get()
    assert token.virtual_account.name == "search-app"
    assert token.user is None
    assert token.limits == ["openai-main", "groq/llama-3.3:70b"]
    left = token.expires_at - datetime.now(UTC)
    assert timedelta(days=89, hours=23) < left <= timedelta(days=90)
    assert "for openai-main, groq/llama-3.3:70b only" in err
    assert "they may call nothing." in err


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["--name", "x"], "required"),
        (["--user", "a@b.co"], "--name"),
        (["--user", "a@b.co", "--virtual-account", "app", "--name", "x"], "not allowed with"),
        (["--user", "not-an-address", "--name", "x"], "not a valid e-mail address"),
        (["--user", f"{'x.' * 30}x@{'long.' * 40}example.com", "--name", "x"], "at most 254 characters"),
        (["--user", f"{'x' * 300}@example.com", "--name", "x"], "no e-mail address|at most 254 characters"),
        (["--virtual-account", "Not A Slug", "--name", "x"], "not a valid name for a virtual account"),
        (["--user", "a@b.co", "--name", ""], "blank"),
        (["--user", "a@b.co", "--name", "x", "--expires", "soon"], "not a valid expiry"),
        (["--user", "a@b.co", "--name", "x", "--expires", "2020-01-01"], "not in the future"),
        (
            ["--user", "a@b.co", "--name", "x", "--limit", "openai-mian"],
            "No account or model has this name: 'openai-mian'",
        ),
        (["--user", "a@b.co", "--name", "x", "--expires", "999999w"], "not a valid expiry"),
        (["--user", "a@b.co", "--name", "x", "--limit", "Open AI"], "not a valid limit"),
        (["--user", "a@b.co", "--name", "x", "--limit", "openai-main/"], "not a valid limit"),
    ],
)
def test_a_refusal_says_why_and_writes_nothing(args, word):
    with pytest.raises(CommandError, match=word) as refused:
        run("create_token", *args)
    assert refused.value.returncode == 2 or word in ("required", "--name", "not allowed with")  # argparse's own
    assert not ApiToken.objects.exists()
    assert not User.objects.exists()
    assert not VirtualAccount.objects.exists()


def test_no_token_for_who_may_not_use_it():
    User.objects.create_user("gone@example.com", is_active=False)
    VirtualAccount.objects.create(name="off", enabled=False)
    for owner in (["--user", "gone@example.com"], ["--virtual-account", "off"]):
        with pytest.raises(CommandError, match="would not work"):
            run("create_token", *owner, "--name", "x")
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90d", "2027-01-29T12:00:00+00:00"),
        ("36H", "2026-11-02T00:00:00+00:00"),
        ("2w", "2026-11-14T12:00:00+00:00"),
        ("15m", "2026-10-31T12:15:00+00:00"),
        ("2026-10-31", "2026-11-01T00:00:00+00:00"),
        ("2027-01-31T08:00:00Z", "2027-01-31T08:00:00+00:00"),
        ("2027-01-31T08:00:00+02:00", "2027-01-31T06:00:00+00:00"),
        ("2027-01-31T08:00", "2027-01-31T08:00:00+00:00"),
    ],
)
def test_expiries(text, moment):
    assert parse_expiry(text, datetime(2026, 10, 31, 12, tzinfo=UTC)) == datetime.fromisoformat(moment)


@pytest.mark.parametrize("text", ["", "0d", "d", "-1d", "1y", "2027-02-30", "2026-10-30", "2026-10-31T11:59:59Z"])
def test_no_expiries(text):
    with pytest.raises(ValueError, match=r"not a valid expiry|not in the future"):
        parse_expiry(text, datetime(2026, 10, 31, 12, tzinfo=UTC))


def test_revoke_by_prefix_by_whole_token_and_again():
    secret, other = create("--user", "a@b.co", "--name", "one"), create("--user", "a@b.co", "--name", "two")
    out, _ = run("revoke_token", secret[:10])
    assert out == f"revoked {secret[:10]}… one of a@b.co\n"
    assert ApiToken.objects.get(name="one").state == "revoked"
    assert ApiToken.objects.get(name="two").state == "active"
    moment = ApiToken.objects.get(name="one").revoked_at
    assert "revoked before" in run("revoke_token", secret)[0]
    assert ApiToken.objects.get(name="one").revoked_at == moment
    run("revoke_token", other)
    assert ApiToken.objects.get(name="two").state == "revoked"


def test_revocation_is_announced():
    create("--user", "a@b.co", "--name", "one")
    Change.objects.all().delete()
    run("revoke_token", "--user", "A@b.co")
    assert [change.kind for change in Change.objects.all()] == ["accounts.apitoken"]


def test_filters_of_revoke_must_all_fit():
    create("--user", "a@b.co", "--name", "ci")
    create("--user", "b@b.co", "--name", "ci")
    create("--virtual-account", "app", "--name", "ci")
    run("revoke_token", "--user", "a@b.co", "--name", "ci")
    assert [t.user and t.user.email for t in ApiToken.objects.filter(revoked_at=None)] == [None, "b@b.co"]
    run("revoke_token", "--virtual-account", "app")
    run("revoke_token", "--name", "ci")
    assert not ApiToken.objects.filter(revoked_at=None).exists()


@pytest.mark.parametrize(
    ("args", "word"),
    [
        ([], "Say which"),
        (["gh-"], "first 7 characters"),
        (["sk-abcdefgh"], "begin with gh-"),
        (["gh-0000000"], "No token fits"),
        (["gh-00000001111"], "neither a whole token"),
        (["--user", "nobody@b.co"], "No token fits"),
    ],
)
def test_revoke_refusals(args, word):
    with pytest.raises(CommandError, match=word):
        run("revoke_token", *args)


def test_a_beginning_that_fits_two_tokens_revokes_none():
    create("--user", "a@b.co", "--name", "one")
    create("--user", "a@b.co", "--name", "two")
    ApiToken.objects.update(prefix="gh-SAME000")
    with pytest.raises(CommandError, match="2 tokens begin so"):
        run("revoke_token", "gh-SAME000")
    assert not ApiToken.objects.exclude(revoked_at=None).exists()
    run("revoke_token", "gh-SAME000", "--name", "two")
    assert ApiToken.objects.exclude(revoked_at=None).get().name == "two"


def test_lists_show_no_token_and_no_hash():
    ProviderAccount.objects.create(name="openai-main")
    secret = create("--user", "a@b.co", "--name", "one", "--expires", "1d", "--limit", "openai-main")
    create("--virtual-account", "app", "--name", "two")
    run("revoke_token", "--name", "two")
    out, _ = run("list_tokens", "--json")
    two, one = json.loads(out)
    assert (one["prefix"], one["user"], one["state"], one["limits"]) == (
        secret[:10],
        "a@b.co",
        "active",
        ["openai-main"],
    )
    assert (two["virtual_account"], two["state"], two["user"], two["last_used_at"]) == ("app", "revoked", None, None)
    assert one["expires_at"].endswith("Z")
    plain, _ = run("list_tokens")
    for text in (out, plain):
        assert secret not in text
        assert tokens.digest(secret) not in text
    assert "a@b.co · one · only openai-main · expires" in plain
    assert "virtual account app · two" in plain


def test_names_do_nothing_to_the_terminal():
    create("--user", "a@b.co", "--name", "one\x1b[2J\ntwo")
    assert r"a@b.co · one\u001b[2J\u000atwo" in run("list_tokens")[0]
    assert r"one\u001b[2J\u000atwo of a@b.co" in run("revoke_token", "--user", "a@b.co")[0]


def test_lists_can_be_narrowed():
    create("--user", "a@b.co", "--name", "one")
    create("--user", "b@b.co", "--name", "two")
    run("revoke_token", "--name", "two")
    assert [row["name"] for row in json.loads(run("list_tokens", "--json", "--state", "active")[0])] == ["one"]
    assert [row["name"] for row in json.loads(run("list_tokens", "--json", "--user", "B@b.co")[0])] == ["two"]
    assert json.loads(run("list_tokens", "--json", "--virtual-account", "app")[0]) == []
