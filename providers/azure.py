"""Azure OpenAI's two surfaces: what they lack of OpenAI's platform, and where calls go on the older one.

Below ``…/openai/v1`` the paths are OpenAI's own, and a version may be named. Below ``…/openai`` every call names a
dated version, and what a deployment does has the deployment in its path. As Azure's descriptions 2024-10-21 and
2025-04-01-preview, the newest that are dated, and its reference of v1 have it.
"""

import re
from urllib.parse import quote, urlsplit

NEWEST_VERSION = "2025-04-01-preview"
"""The last dated version that Azure published."""
VERSION_NAME = "api-version"
VERSION = re.compile(r"^(v1|latest|preview|20\d\d-\d\d-\d\d(-preview)?)\Z")
DEPLOYED = frozenset(
    {
        "chat/completions",
        "completions",
        "embeddings",
        "audio/transcriptions",
        "audio/translations",
        "audio/speech",
        "images/generations",
        "images/edits",
    }
)
"""What is done below ``deployments/NAME`` on the dated surface."""
REALTIME = "realtime"
LACKS = frozenset({"moderations", "rerank", "images/variations"}) | frozenset(
    {"agents", "chatkit", "content_provenance_checks", "decisions", "safety", "voices", "webhooks"}
)
"""Operations by their paths, and resources by their switches, that neither surface has."""
DATED_LACKS = (
    LACKS
    | {"responses/cancel", "responses/compact", "responses/input_tokens", "conversations"}
    | {"containers", "skills", "videos"}
)
"""The same of the dated surface."""

_HOSTS = re.compile(r"\.(openai\.azure|services\.ai\.azure|cognitiveservices\.azure)\.(com|us|cn)$", re.I)
_DEPLOYMENT = re.compile(r"/openai/(v1/.+|deployments(/.*)?)$")


def placed(path: str, query: str, deployment: str) -> tuple[str, str]:
    """Return path and query of a call on the dated surface; without the version, which every call names."""
    if path in DEPLOYED and deployment:
        return f"deployments/{quote(deployment, safe='')}/{path}", query
    if path == REALTIME and query.startswith("model="):
        return path, f"deployment={query.removeprefix('model=')}"
    return path, query


def base_url(url: str, version: str) -> str:
    """Return an account's address as clients take it, with the version that every call names in its query."""
    return f"{url}/?{version_query(version)}" if version else f"{url}/"


def version_query(version: str) -> str:
    """Return the part of a query that names a version."""
    return f"{VERSION_NAME}={quote(version, safe='')}"


def without_version(query: str) -> str:
    """Return a query without the versions that it names: an account's own is the one that counts."""
    if VERSION_NAME not in query.lower():
        return query
    return "&".join(part for part in query.split("&") if part.partition("=")[0].lower() != VERSION_NAME)


def address_fault(url: str) -> str:
    """Say why no call could go to a resource's address as it is; empty: nothing is wrong with it."""
    parts = urlsplit(url)
    if not _HOSTS.search(parts.hostname or ""):
        return ""  # a proxy, whose paths are its own
    root = f"{parts.scheme}://{parts.netloc}"
    if not parts.path.strip("/"):
        return f"Give {root}/openai/v1, or {root}/openai for deployments with a dated API version."
    if _DEPLOYMENT.search(parts.path.rstrip("/")):
        return f"Leave out what is called: give {root}/openai/v1, or {root}/openai. The deployment is the model's id."
    return ""
