"""How much is read on behind a refusal, and for how long, so that a client which still sends gets to see the answer.

By itself, because worker processes import the server's protocol before Django's apps are loaded.
"""

from typing import Final

DISCARD_BYTES: Final = 64 * 2**20
DISCARD_SECONDS: Final = 5.0
