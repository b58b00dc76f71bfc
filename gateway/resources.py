"""OpenAI's other resources, a row each: their paths, the objects they make, and who owns them.

Whatever stands below an object's id belongs to that object. A row is closed on every account until the account opens it by name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource.

    ``path`` is its collection, ``kind`` what a ``POST`` there makes. ``actions`` are words that stand where an id would, with the
    kind that a ``POST`` there makes and the field of the answer that holds its id (empty kind: it makes nothing). ``makes`` are
    the words behind an object's id whose ``POST`` makes another root object. ``model`` says that a body's ``model``
    names a model of the account. ``switch`` is the name that opens it.
    """

    path: str
    kind: str
    switch: str
    actions: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    makes: Mapping[str, str] = field(default_factory=dict)
    model: bool = False


RESOURCES: tuple[Resource, ...] = (
    Resource("vector_stores", "vector_store", "vector_stores"),
    Resource("containers", "container", "containers"),
    Resource("evals", "eval", "evals", model=True),
    Resource(
        "videos",
        "video",
        "videos",
        actions={
            "characters": ("video_character", "id"),
            "edits": ("video", "id"),
            "extensions": ("video", "id"),
        },
        makes={"remix": "video"},
        model=True,
    ),
    Resource("skills", "skill", "skills"),
    Resource("assistants", "assistant", "assistants", model=True),
    Resource("threads", "thread", "assistants", actions={"runs": ("thread", "thread_id")}, model=True),
    Resource("chatkit/sessions", "chatkit_session", "chatkit"),
    Resource("chatkit/threads", "chatkit_thread", "chatkit"),
    Resource("audio/voices", "voice", "voices"),
    Resource("audio/voice_consents", "voice_consent", "voices"),
    Resource("content_provenance_checks", "content_provenance_check", "content_provenance_checks"),
)

SWITCHES = tuple(sorted({resource.switch for resource in RESOURCES}))
"""The names that an account's ``open_resources`` may hold; ``*`` opens all, those to come included."""
