"""OpenAI's other resources, a row each: their paths, the objects they make, what they refer to, what is billed, who
opens them.

Whatever is below an object's id belongs to that object. A row is closed on every account until the account opens it
by name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource.

    ``path`` is its collection, ``kind`` what a ``POST`` there makes (empty: nothing). ``actions`` are words that are
    where an id would be, with the kind that a ``POST`` there makes. ``makes`` are the words behind an object's id whose
    ``POST`` makes another object with an id of its own. ``refers`` are fields whose ids are other objects, beside those
    that are so in every body. ``bills`` are the words whose ``POST`` costs money (empty: the collection's), with the
    type that a model needs for it. ``shows`` are the words behind an object's id (empty: an object's own place) whose
    answers report, also to a ``GET``, agents' sessions and environments that were created for it. ``model`` says
    that bodies name models of the account. ``lists`` is false where there is nothing to list.
    ``unnamed`` says that OpenAI asks for no model in the collection's ``POST``.
    """

    path: str
    kind: str
    switch: str
    actions: Mapping[str, str] = field(default_factory=dict)
    makes: Mapping[str, str] = field(default_factory=dict)
    refers: frozenset[str] = frozenset()
    bills: Mapping[str, str] = field(default_factory=dict)
    shows: frozenset[str] = frozenset()
    model: bool = False
    lists: bool = True
    unnamed: bool = False


AGENT_FIELDS = frozenset(
    {
        "agent_id",
        "automation_id",
        "credential_id",
        "environment_id",
        "environment_template_id",
        "session_id",
        "vault_id",
        "vault_ids",
    }
)
RUN = "run"
EVAL_RUN = "eval_run"
SESSION = "agent_session"

RESOURCES: tuple[Resource, ...] = (
    Resource("vector_stores", "vector_store", "vector_stores"),
    Resource("containers", "container", "containers", bills={"": "container"}),
    Resource("evals", "eval", "evals", makes={"runs": EVAL_RUN}, bills={"runs": "chat"}, model=True),
    Resource(
        "videos",
        "video",
        "videos",
        actions={"characters": "video_character", "edits": "video", "extensions": "video"},
        makes={"remix": "video"},
        refers=frozenset({"video", "characters"}),
        bills={"": "video", "edits": "video", "extensions": "video", "remix": "video"},
        model=True,
        unnamed=True,
    ),
    Resource("skills", "skill", "skills"),
    Resource("assistants", "assistant", "assistants", model=True),
    Resource(
        "threads",
        "thread",
        "assistants",
        actions={"runs": "thread"},
        makes={"runs": RUN},
        bills={"runs": "chat", "submit_tool_outputs": "chat"},
        model=True,
        lists=False,
    ),
    Resource("chatkit/sessions", "chatkit_session", "chatkit", lists=False),
    Resource("chatkit/threads", "chatkit_thread", "chatkit"),
    Resource("agents/environments/templates", "agent_template", "agents", refers=AGENT_FIELDS, model=True),
    Resource("agents/environments", "agent_environment", "agents", refers=AGENT_FIELDS, model=True),
    Resource(
        "agents/automations",
        "agent_automation",
        "agents",
        refers=AGENT_FIELDS,
        bills={"invocations": "responses"},
        shows=frozenset({"", "invocations"}),
        model=True,
    ),
    Resource(
        "agents/sessions",
        SESSION,
        "agents",
        refers=AGENT_FIELDS,
        bills={"": "responses", "events": "responses"},
        shows=frozenset({"", "events"}),
        model=True,
    ),
    Resource("agents", "agent", "agents", refers=AGENT_FIELDS, model=True),
    Resource("vaults", "vault", "agents", makes={"credentials": "vault_credential"}, refers=AGENT_FIELDS),
    Resource("audio/voices", "voice", "voices", refers=frozenset({"consent"}), lists=False),
    Resource("audio/voice_consents", "voice_consent", "voices"),
    Resource("decisions", "", "decisions", bills={"": "responses"}, model=True, lists=False),
    Resource("content_provenance_checks", "content_provenance_check", "content_provenance_checks", lists=False),
    Resource("safety/alerts", "", "safety", lists=False),
    Resource("safety/cases", "", "safety", lists=False),
    Resource("webhook_endpoints", "webhook_endpoint", "webhooks"),
    Resource("webhook_event_types", "", "webhooks"),
)

SWITCHES = tuple(sorted({resource.switch for resource in RESOURCES}))
"""The names that an account's ``open_resources`` may hold (``providers.choices.RESOURCE_SWITCHES``), beside ``*``."""
