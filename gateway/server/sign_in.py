"""Access tokens of accounts without a key, kept fresh: calls don't wait for them."""

import asyncio

from gateway.state import state
from providers.upstream.tokens import renew

CHECK_SECONDS = 5.0


async def keep_tokens() -> None:
    """Renew tokens ahead of their end, and ask for those of new accounts, until cancelled."""
    while True:
        due = [
            account for account in state.directory.accounts.values() if account.enabled and account.token is not None
        ]
        if due:
            await asyncio.gather(*(renew(state.client, account) for account in due))
        await asyncio.sleep(CHECK_SECONDS)
