"""Types of manifest that other packages add: each is a row here, and the rest of applying and exporting knows no more
of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from providers.manifests.people import Run
from providers.manifests.place import Place
from providers.manifests.values import Fields


@dataclass(frozen=True, slots=True)
class ManifestKind:
    """A type of manifest, ``name``, whose fields are those of ``schema``.

    ``read`` returns the manifest's name and what it asks for. ``write`` writes all of them, after people and accounts;
    with ``prune`` it also removes what none of them names. ``export`` returns the manifests of what is stored.
    """

    name: str
    schema: type[Fields]
    read: Callable[[Place, Any], tuple[str, Any]]
    write: Callable[[Run, list[Any], bool], None]
    export: Callable[[], list[dict[str, Any]]]


KINDS: dict[str, ManifestKind] = {}
"""The added types, in the order in which they are written."""


def add(kind: ManifestKind) -> None:
    """Let manifests be of ``kind``."""
    KINDS[kind.name] = kind
