"""``manage.py demo``: everything that ``make run`` serves: a sandbox upstream, an account on it, an admin, a token."""

import atexit
import os
import re
import secrets
import socket
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import DatabaseError, transaction

from accounts.command import GatehouseCommand, where_to_look
from accounts.models import ApiToken, User
from accounts.tokens import digest
from gateway.management.commands.serve import port_option
from gateway.management.demo_traffic import Traffic, make_callers
from gateway.server.processes import address_of
from providers.catalogue import models as catalogue
from providers.models import Grant, Model, ProviderAccount

ADMIN_EMAIL = "admin@example.com"
ACCOUNT = "openai-main"
SANDBOX_KEY = "sk-sandbox"
LOOPBACK = "127.0.0.1"
PORT_TRIES = 4
PORT_PAUSE_SECONDS = 0.5
SANDBOX_URL = re.compile(r"http://127\.0\.0\.1:[0-9]+/v1(beta)?")
"""What the demo itself enters. An account with another address, kind or key was changed by its user, and stays."""
# Models that OpenAI has shut down but that examples still name; the sandbox answers for them.
OLDER_MODELS = [
    "dall-e-2",
    "dall-e-3",
    "gpt-3.5-turbo",
    "gpt-3.5-turbo-instruct",
    "gpt-4o-mini-realtime-preview",
    "gpt-4o-realtime-preview",
    "gpt-image-1",
    "o4-mini",
]


class DemoAccount(NamedTuple):
    """An account of the demo: its kind, the path of its API at the sandbox, and its models.

    They are those of the catalogue and ``models``: name, upstream id and types.
    """

    name: str
    kind: str
    path: str
    models: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    older: Sequence[str] = ()
    resources: tuple[str, ...] = ()
    catalogue: bool = True


ACCOUNTS = (
    DemoAccount(
        ACCOUNT, "openai", "/v1", (("gpt-3-5-turbo", "gpt-3.5-turbo", ("chat", "responses")),), OLDER_MODELS, ("*",)
    ),
    DemoAccount("anthropic-main", "anthropic", "/v1"),
    DemoAccount("gemini-main", "google-gemini", "/v1beta"),
    # As the contract's examples call it.
    DemoAccount(
        "internal-google",
        "google-gemini",
        "/v1beta",
        (("gemini-2-0-flash", "gemini-2.0-flash", ("chat",)),),
        catalogue=False,
    ),
)


class Command(GatehouseCommand):
    """Set up the demo and serve it. Run again, it keeps what is there."""

    help = "Serve a working demo on the bundled sandbox upstream: no key and no network needed. Not for production."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
        parser.add_argument("--port", type=port_option, default=settings.PORT, help="port of the gateway")
        parser.add_argument(
            "--no-traffic", action="store_true", help="without the made-up callers that ask the sandbox for 5 minutes"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self.stderr.write("Setting up the demo: database, sandbox upstream, account, admin, token.")
        # The demo's own upstream is on the loopback address, which may otherwise not be connected to.
        settings.EGRESS_ALLOW.append(LOOPBACK)
        try:
            call_command("migrate", verbosity=0)
        except DatabaseError as error:
            raise CommandError(f"The database can't be used ({type(error).__name__}). {where_to_look()}") from None
        sandbox = start_sandbox(settings.DATA_DIR / "demo_sandbox_port", self.stderr.write)
        changed = [row.name for row in ACCOUNTS if not self._make_account(row, sandbox)]
        callers = {} if changed or options["no_traffic"] else make_callers([row.name for row in ACCOUNTS])
        password = keep(settings.DATA_DIR / "demo_password", lambda: secrets.token_urlsafe(9))
        admin = self._make_admin(password)
        token = self._make_token(admin)
        self.stdout.write(welcome(address_of(options["host"], options["port"]), password, token, sandbox))
        for name in changed:
            self.stdout.write(f"The account {name} was changed: it is left as it is, and calls go where it says.\n")
        if callers:
            self.stdout.write(
                "Made-up callers ask the sandbox for 5 minutes from now on, at no cost: see the console.\n"
            )
        self.stdout.flush()
        host = LOOPBACK if options["host"] in ("0.0.0.0", "::") else options["host"]
        traffic = Traffic(address_of(host, options["port"]), callers, all_sandbox)
        if callers:
            traffic.start()
        try:
            call_command("serve", host=options["host"], port=options["port"])
        finally:
            traffic.stop()

    @transaction.atomic
    def _make_account(self, row: "DemoAccount", sandbox: str) -> bool:
        """Create the account, or refresh the sandbox's address in it; return whether it is the sandbox's still."""
        url = sandbox.removesuffix("/v1") + row.path
        account = ProviderAccount.objects.select_for_update().filter(name=row.name).first()
        if account is None:
            account = ProviderAccount(
                name=row.name, open_resources=list(row.resources), register_fine_tuned=True, kind=row.kind, base_url=url
            )
            account.api_key = SANDBOX_KEY
        elif not is_sandbox(row, account):
            return False
        if account.pk is None or account.base_url != url:
            account.base_url, account.api_key = url, SANDBOX_KEY
            account.full_clean()
            account.save()
        if not account.models.exists():
            if row.catalogue:
                older = catalogue.choose(row.kind, row.older) if row.older else []
                catalogue.seed(account, [*catalogue.choose(row.kind, []), *older])
            for name, upstream_id, types in row.models:
                Model(account=account, name=name, upstream_id=upstream_id, model_types=list(types)).save()
        if not Grant.objects.filter(account=account).exists():
            Grant(account=account, role=Grant.Role.USER, everyone=True).save()
        if row.name == ACCOUNT and not Model.objects.filter(account=account, name="gpt-4o-mini").exists():
            raise CommandError("The catalogue has no gpt-4o-mini.")
        return True

    def _make_admin(self, password: str) -> User:
        admin = User.objects.filter(email=ADMIN_EMAIL).first()
        if admin is None:
            made: User = User.objects.create_superuser(ADMIN_EMAIL, password)
            return made
        if not admin.check_password(password):
            admin.set_password(password)
            admin.save()
        return admin

    def _make_token(self, user: User) -> str:
        path = settings.DATA_DIR / "demo_token"
        if path.exists():
            kept = path.read_text().strip()
            known = ApiToken.objects.filter(digest=digest(kept), revoked_at=None).first()
            if known is not None and known.state == "active":
                return kept
            path.unlink()
        _, secret = ApiToken.objects.issue(name="demo", user=user)
        return keep(path, lambda: secret)


def is_sandbox(row: DemoAccount, account: ProviderAccount) -> bool:
    """Whether the account is as the demo made it, so that calls to it go to the sandbox."""
    return account.kind == row.kind and account.api_key == SANDBOX_KEY and bool(SANDBOX_URL.fullmatch(account.base_url))


def all_sandbox() -> bool:
    """Whether all accounts of the demo are there and the sandbox's still."""
    found = {
        account.name: account for account in ProviderAccount.objects.filter(name__in=[row.name for row in ACCOUNTS])
    }
    return all(row.name in found and is_sandbox(row, found[row.name]) for row in ACCOUNTS)


def keep(path: Path, make: Any) -> str:
    """Return the text kept in ``path`` with mode 0600; make it first when it is not there."""
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as handle:
            handle.write(make())
    return path.read_text().strip()


def start_sandbox(kept: Path, say: Callable[[str], Any]) -> str:
    """Start the sandbox upstream beside us and return its base URL. It ends with us: its standard input closes then.

    It has the port that the file ``kept`` holds from the last start, unless another program has that now: then it gets
    another, and ``say`` reports it.
    """
    wanted = kept.read_text().strip() if kept.exists() else ""
    port = _sandbox_on(wanted) if wanted and _becomes_free(wanted) else ""
    moved = bool(wanted) and not port
    port = port or _sandbox_on("0")
    if not port:
        raise CommandError("The sandbox upstream did not start.")
    if moved:
        say(
            f"Port {wanted}, which the sandbox upstream had, is taken by another program. From now on it has {port}: "
            "the demo's accounts are changed to that; whatever else names the old address has to be, too."
        )
    kept.write_text(port)
    return f"http://{LOOPBACK}:{port}/v1"


def _becomes_free(port: str) -> bool:
    """Wait until a port is free, as the last sandbox may be ending still; return whether it is."""
    for _ in range(PORT_TRIES):
        try:
            with socket.create_server((LOOPBACK, int(port))):
                return True
        except (OSError, ValueError, OverflowError):
            time.sleep(PORT_PAUSE_SECONDS)
    return False


def _sandbox_on(port: str) -> str:
    """Return the port that the sandbox listens on when asked for ``port``; empty when it did not start."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox", "--port", port, "--key", SANDBOX_KEY, "--until-eof"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=None if port == "0" else subprocess.DEVNULL,
        text=True,
        cwd=settings.BASE_DIR,
        env={**os.environ, "TMPDIR": str(settings.TEMP_DIR)},
    )
    assert process.stdout is not None  # we asked for the pipe
    said = re.search(r"http://[^ ]*:([0-9]+)", process.stdout.readline())
    if said is None:
        process.terminate()
        process.wait()
        return ""
    atexit.register(process.terminate)
    return said[1]


def welcome(address: str, password: str, token: str, sandbox: str) -> str:
    """Return what the demo prints: addresses, login, and two snippets that work when pasted."""
    return f"""
Gatehouse is ready when a line below says that it listens.

  Base URL   {address}/v1          (also {address}/api/llm)
  Admin      {address}/admin/      {ADMIN_EMAIL} / {password}
  Token      {token}
  Models     {ACCOUNT}/…, anthropic-main/…, gemini-main/…, with any of the three SDKs
  Sandbox    {sandbox}   key {SANDBOX_KEY}

The sandbox upstream keeps its key across restarts, and its address unless another program has the port by then.
Other commands want GATEHOUSE_EGRESS_ALLOW={LOOPBACK} in their environment when they check its address or connect to it:
apply, test_credentials, discover, serve.

Python (pip install openai):

from openai import OpenAI

client = OpenAI(base_url="{address}/v1", api_key="{token}")
answer = client.chat.completions.create(
    model="{ACCOUNT}/gpt-4o-mini",
    messages=[{{"role": "user", "content": "Count from 1 to 5."}}],
)
print(answer.choices[0].message.content)

Shell:

curl {address}/v1/chat/completions -H "Authorization: Bearer {token}" -H "Content-Type: application/json" \\
  -d '{{"model": "{ACCOUNT}/gpt-4o-mini", "messages": [{{"role": "user", "content": "Count from 1 to 5."}}]}}'
"""
