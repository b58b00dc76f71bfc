"""Where the API answers: the one table that the URL map, the sockets' and the choice of the handler are made from.

A door is what a kind of client writes in front of its paths: OpenAI's a base, Google's a version, Cohere's ``v2``,
Azure's ``openai``. Doors are below every base, too, and below an account in the address, for clients that can't send a
header.
"""

BASES = ("v1", "api/llm", "api/llm/api/inference/openai")
"""The bases, each with and without ``/v1`` behind it."""
GOOGLE = ("v1beta", "v1alpha")
COHERE = "v2"
AZURE = "openai"
OWN = "api/svc"
"""What is Gatehouse's own: reports and feedback."""

ROOTS = tuple(f"/{root}/" for root in (*BASES, *GOOGLE, COHERE, AZURE, OWN))
"""What every address of the API begins with."""
ALONE = frozenset({"/healthz", "/readyz", *(root.rstrip("/") for root in ROOTS)})

# The longest first: Django takes the first prefix that matches, and does not come back for another.
_BASE = rf"(?:{'|'.join(sorted(BASES, key=len, reverse=True))})(?:/v1)?/"
_ACCOUNT = r"accounts/(?P<account>[^/]+)/"
BELOW = rf"^(?:{_BASE}(?:{_ACCOUNT})?)?"
"""What may come before a door: nothing, a base, an account."""

API_PREFIX = f"^{_BASE}"
ACCOUNT_PREFIX = f"^{_BASE}{_ACCOUNT}(?:v1/)?"
GOOGLE_PREFIX = rf"{BELOW}(?:{'|'.join(GOOGLE)})/"
COHERE_RERANK = rf"{BELOW}{COHERE}/rerank$"
# As Azure's client writes them: a deployment is a model, by any of its names; and the surface that needs no
# api-version.
_DEPLOYED = "chat/completions|completions|embeddings|responses|images/[a-z]+|audio/[a-z]+"
_AZURE = rf"{BELOW}(?P<azure>{AZURE})/"
DEPLOYMENT_PREFIX = rf"{_AZURE}deployments/(?P<deployment>.+?)/(?=(?:{_DEPLOYED})/?$)"
AZURE_PREFIX = rf"{_AZURE}(?:v1/)?"

LIVE_PREFIX = r"^live/(?P<account>[^/]+)/"
SOCKET_PREFIXES = (LIVE_PREFIX, API_PREFIX, ACCOUNT_PREFIX, AZURE_PREFIX)


def is_api(path: str) -> bool:
    """Whether an address is the API's, whose requests the lean handler serves."""
    return path.startswith(ROOTS) or path in ALONE
