"""What callers write for a name costs time in proportion to its length, and is not kept where it is longer than a name.

Everything of ``gateway/access`` that takes a caller's text is tried: a new function has to be listed here.
"""

import functools
import importlib
import inspect
import json
import pkgutil
import time
import tracemalloc
from collections.abc import Callable
from types import ModuleType
from typing import Any

import msgspec
import pytest

import gateway.access
from gateway.access import (
    accounts,
    authentication,
    default_models,
    hidden_models,
    listings,
    models,
    named_models,
    offered,
    proxied_models,
    vendor_names,
)
from gateway.access import model_names as names
from gateway.body.json import decode_fields, decode_nested
from gateway.body.mentions import Mentions, read_body
from gateway.call.errors import CallError
from gateway.objects import operations
from providers.snapshot import Target
from tests.support.snapshots import account, caller, model

CLOSED = frozenset({"user:2"})
HERE = account(
    model("open", "gpt-4o-mini"),
    model("gpt-4o", subjects=CLOSED),
    model("v1", subjects=CLOSED),
    model("maker/gpt-4-1", subjects=CLOSED),
    any_model=True,
)
ME, LIMITED = caller(), caller("acme/open")
UNITS = [
    "-v1",
    "-latest",
    "-2024-08-06",
    "-12",
    "us.",
    "a/",
    "models/",
    ":",
    "@",
    "-",
    " ",
    "gpt.4o-",
    "gpt-4o,",
    "gpt ",
]
UNITS += ["ft:", "gpt-4-", "{", '{"model":', '["', "%67", "\\u0067", "&#103;", "²"]


def body(field: str, text: str) -> Any:
    return decode_fields(json.dumps({field: text}).encode())


TAKERS: dict[str, Callable[[str], Any]] = {
    "accounts.choose_account": lambda text: accounts.choose_account(ME, operations.PROXY_WRITE, text),
    "accounts.is_open": lambda text: accounts.is_open(HERE, text),
    "accounts.check_open": lambda text: accounts.check_open(HERE, text[:100]),
    "accounts.usable": lambda text: accounts.usable(ME, text),
    "accounts.account_of": lambda text: accounts.account_of(ME, text),
    "authentication.caller_of": authentication.caller_of,
    "authentication.presented_token": lambda text: authentication.presented_token({b"authorization": text.encode()}),
    "authentication._unread": lambda text: authentication._unread(text.encode()),
    "authentication._plain": lambda text: authentication._plain(text.encode()),
    "authentication._masked": authentication._masked,
    "default_models.choose": lambda text: default_models.choose(ME, operations.PROXY_WRITE, text),
    "default_models.choose_for_prompt": lambda text: default_models.choose_for_prompt(ME, operations.RESPONSE, text),
    "default_models._examples": lambda text: default_models._examples(ME, HERE, text),
    "default_models._meant": lambda text: default_models._meant(ME, operations.RESPONSE, text, prompt=True),
    "model_names.plain": names.plain,
    "model_names.stem": names.stem,
    "model_names.stems": names.stems,
    "model_names.is_fine_tuned": names.is_fine_tuned,
    "model_names.base_of": names.base_of,
    "models.resolve": lambda text: models.resolve(ME, text, ""),
    "models.not_found": models.not_found,
    "models._of_account": lambda text: models._of_account(ME, HERE, text, text),
    "models._by_upstream_name": lambda text: models._by_upstream_name(ME, HERE, text),
    "models.by_upstream_name": lambda text: models.by_upstream_name(ME, HERE, text),
    "models.on_account": lambda text: models.on_account(ME, HERE, text),
    "models.is_narrowed": lambda text: models.is_narrowed(ME, HERE, text),
    "models.holds_narrowed": lambda text: models.holds_narrowed(ME, HERE, text),
    "models.resembles_narrowed": lambda text: models.resembles_narrowed(ME, HERE, text),
    "models.is_newest_of_narrowed": lambda text: models.is_newest_of_narrowed(ME, HERE, text),
    "listings.letters": listings.letters,
    "listings.family_of": listings.family_of,
    "models.is_listed": lambda text: models.is_listed(HERE, text),
    "models.may_mean_closed": lambda text: models.may_mean_closed(ME, HERE, text),
    "offered._unregistered": lambda text: offered._unregistered(HERE, text),
    "models._offers": lambda text: list(models._offers(ME, text)),
    "named_models.for_account": lambda text: [
        named_models.for_account(ME, HERE, body(field, text)) for field in ("route", "models", "input", "x_model")
    ],
    "named_models.rename_all": lambda text: named_models.rename_all(ME, HERE, {"a": [{"fallbacks": text.split(",")}]}),
    "named_models._check_tool": lambda text: named_models._check_tool(LIMITED, HERE, text),
    "named_models._read_tools": lambda text: named_models._read_tools(text.encode()),
    "named_models._check_words": lambda text: named_models._check_words(ME, HERE, text, json.dumps(text).encode()),
    "proxied_models._may_mean_hidden": lambda text: proxied_models._may_mean_hidden(ME, HERE, text),
    "proxied_models.check": lambda text: proxied_models.check(ME, HERE, [text], [text]),
    "proxied_models.meant": lambda text: proxied_models.meant(HERE, text, [text, f"here/{text}"]),
    "proxied_models._meant_by": lambda text: list(proxied_models._meant_by(HERE, text)),
    "proxied_models.check_unnamed": lambda text: proxied_models.check_unnamed(ME, HERE, text, [text]),
    "hidden_models.is_callable": lambda text: hidden_models.is_callable(ME, HERE, text),
    "hidden_models.is_hidden": lambda text: hidden_models.is_hidden(ME, HERE, text),
    "named_models.check_configuration": lambda text: named_models.check_configuration(
        ME, HERE, decode_fields(b'{"preset":' + msgspec.json.encode(text) + b"}")
    ),
    "vendor_names.resolve": lambda text: vendor_names.resolve(ME, HERE, text, "chat"),
    "vendor_names._unlisted": lambda text: vendor_names._unlisted(ME, HERE, text, ("chat",)),
    "vendor_names.is_fine_tuned": lambda text: vendor_names.is_fine_tuned(Target(HERE, model(text or "a"))),
    "vendor_names._refuse_public_name": lambda text: vendor_names._refuse_public_name(HERE, text),
    "json.decode_nested": lambda text: decode_nested(text.encode(), text),
    "mentions.add_path": lambda text: looking().add_path(text),
    "mentions.add_pairs": lambda text: looking().add_pairs([("model", text), (text, text)]),
    "mentions.read_body": lambda text: read_body(looking(), b"x" + text.encode(), b"application/octet-stream"),
    "mentions.read_json": lambda text: read_body(looking(), json.dumps({"model": text}).encode(), b"application/json"),
}
# Texts of ours alone: an operation's type, a place in a name that is bounded before, a number.
OURS = {
    "accounts.check_ability",
    "capability.type_refusal",
    "default_models._has",
    "default_models._of_type",
    "authentication.refuse_duplicate_headers",
    "default_models._of",
    "grants.offers",
    "grants._within",
    "offered.shown_models",
    "listings.longest",
    "models._covers",
    "model_names._without_decoration",
    "model_names._ending",
    "model_names._endings",
    "model_names._words",
}


def looking() -> Mentions:
    return Mentions(hidden_models.looked_for(ME, HERE))


def modules() -> list[ModuleType]:
    found = pkgutil.iter_modules(gateway.access.__path__)
    return [importlib.import_module(f"gateway.access.{each.name}") for each in found]


def test_every_function_that_takes_a_text_is_tried() -> None:
    takers = {
        f"{module.__name__.rpartition('.')[2]}.{name}"
        for module in modules()
        for name, function in vars(module).items()
        if inspect.isfunction(function) and function.__module__ == module.__name__
        if any(
            part in str(each.annotation) for each in inspect.signature(function).parameters.values() for part in KINDS
        )
    }
    assert takers - TAKERS.keys() - OURS == set()
    assert len(takers) > 30


KINDS = ("str", "bytes", "Any")


def refused(take: Callable[[], Any]) -> CallError | None:
    try:
        take()
    except CallError as error:
        return error
    return None


def seconds(take: Callable[[str], Any], text: str) -> float:
    """The least time of three that it takes, refused or not."""
    best = 60.0
    for _ in range(3):
        begin = time.thread_time()
        refusal = refused(lambda: take(text))
        best = min(best, time.thread_time() - begin)
        assert refusal is None or len(refusal.message) < 2000
    return best


@pytest.mark.parametrize("taker", TAKERS)
def test_double_the_length_takes_double_the_time(taker: str) -> None:
    for unit in UNITS:
        half, whole = (unit * (size // len(unit)) for size in (15_000, 30_000))
        once = seconds(TAKERS[taker], half)
        twice = seconds(TAKERS[taker], whole)
        assert twice < 0.05 or twice < 2.5 * once, (unit, once, twice)


NESTED = [
    (b'{"route":', b"}"),
    (b'{"model":', b"}"),
    (b'{"models":[', b"]}"),
    (b'[{"fallbacks":[', b"]}]"),
    (b'{"a":{"model":{"id":', b"}}}"),
]


@pytest.mark.parametrize(("before", "behind"), NESTED)
def test_double_the_depth_takes_double_the_time(before: bytes, behind: bytes) -> None:
    wide = b"[" + b",".join(b'"a%d"' % number for number in range(900)) + b"]"

    def take(depth: str) -> None:
        value = before * int(depth) + wide + behind * int(depth)
        for read in (
            lambda: named_models.for_account(ME, HERE, decode_fields(b'{"x":%b}' % value)),
            lambda: read_body(looking(), value, b"application/json"),
        ):
            refused(read)

    once, twice = seconds(take, "100"), seconds(take, "200")
    assert twice < 0.1, (once, twice)


def test_names_without_end_are_not_named() -> None:
    many = ",".join(f"m{number}" for number in range(100_000))
    for field in ("models", "route"):
        value = many.split(",") if field == "route" else many
        fields = decode_fields(json.dumps({field: value}).encode())
        with pytest.raises(CallError, match="at most 1000 models"):
            named_models.for_account(ME, HERE, fields)
    for text in (
        json.dumps({"model": many}),
        many.replace("m", "gpt-4o-x"),
        json.dumps({"route": many.split(",")}),
    ):
        with pytest.raises(CallError, match="more than 1000 different names"):
            read_body(looking(), b" " + text.encode(), b"application/octet-stream")


def test_nothing_long_is_kept() -> None:
    def write(number: int) -> None:
        text = f"q{number}" + "y" * 1_000_000
        for taker in TAKERS.values():
            refused(functools.partial(taker, text))

    write(0)
    tracemalloc.start()
    try:
        for number in range(1, 4):
            write(number)
        assert tracemalloc.get_traced_memory()[0] < 500_000
    finally:
        tracemalloc.stop()
