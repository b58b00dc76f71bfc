"""The dialects that upstreams speak, one of each. A vendor's row names its own (``providers.vendors``)."""

from providers.dialects.anthropic.dialect import Anthropic
from providers.dialects.base import Dialect
from providers.dialects.gemini.dialect import Gemini
from providers.dialects.openai import OpenAI
from providers.snapshot import AccountSnapshot

DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in (OpenAI(), Anthropic(), Gemini())}


def dialect_of(account: AccountSnapshot) -> Dialect:
    """Return the dialect that the account's vendor speaks."""
    return DIALECTS[account.vendor.dialect]
