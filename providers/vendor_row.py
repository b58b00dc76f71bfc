"""What a row of the table of vendors says (``providers.vendors``)."""

from dataclasses import dataclass, field

USAGE_SEMANTICS = ("openai", "xai", "deepseek", "google", "openrouter", "anthropic", "gemini")
"""How a vendor counts.

``openai``: the prompt includes cached tokens, the completion the reasoning. ``xai``: reasoning beside the completion.
``deepseek``: cache hits as ``prompt_cache_hit_tokens``. ``google``: thinking in the total only, at Gemini's
OpenAI-compatible address. ``openrouter``: as OpenAI, with the call's price in ``usage.cost``. These are read by
``providers.dialects.usage``, by ``tokens`` beside it: ``anthropic``: the input leaves out what the cache read and
wrote. ``gemini``: candidates leave out the thoughts.
"""


@dataclass(frozen=True, slots=True)
class Vendor:
    """One kind of provider account.

    ``base_url`` is empty where each account has an address of its own; ``provider`` is the value of the ``"provider"``
    field in answers (empty: the kind); ``price_source`` the provider id in the public price list (empty: none);
    ``stream_usage`` whether ``stream_options.include_usage`` is understood. ``auth`` says what may be stored to sign in
    with: a ``key`` only, or also a ``google`` service account or an ``entra`` application, for which access tokens are
    fetched; ``headers`` are sent with every call. ``usage`` is one of ``USAGE_SEMANTICS``.

    Of chat parameters, ``renames`` maps OpenAI's names to the vendor's, ``drops`` are those that it refuses; ``top_k``,
    ``cache_marks`` (Anthropic's ``cache_control``), ``replays_reasoning`` (``reasoning_content`` of earlier turns) and
    ``signed_calls`` (Google's thought signatures) are what it takes beyond OpenAI's. ``default_models`` are what a new
    account may begin with; ``unnamed`` are the models that the vendor itself takes for calls that name none, by
    operation or model type; ``tool_models`` what it takes for tools that name none, by their type.
    """

    kind: str
    label: str
    base_url: str = ""
    provider: str = ""
    dialect: str = "openai"
    auth_header: str = "authorization"
    auth_prefix: str = "Bearer "
    regions: tuple[tuple[str, str], ...] = ()
    price_source: str = ""
    stream_usage: bool = True
    needs_key: bool = True
    abilities: frozenset[str] = field(default_factory=frozenset)
    auth: str = "key"
    headers: tuple[tuple[str, str], ...] = ()
    usage: str = "openai"
    renames: tuple[tuple[str, str], ...] = ()
    drops: frozenset[str] = frozenset()
    top_k: bool = False
    cache_marks: bool = False
    replays_reasoning: bool = False
    signed_calls: bool = False
    default_models: tuple[str, ...] = ()
    unnamed: tuple[tuple[str, str], ...] = ()
    tool_models: tuple[tuple[str, str], ...] = ()
    virtual: bool = False
    """Whether its accounts have no server: their models spread calls over models of other accounts."""
    vertex: bool = False
    """Whether its dialect is as Vertex AI speaks it (``providers.dialects.gemini.vertex``,
    ``providers.dialects.anthropic.vertex``): models are a publisher's, in the path, and none are listed beneath the
    account's address.
    """
    deployments: bool = False
    """Whether models are deployments, as at Azure: its list has what could be deployed, not what is."""
    api_version: str = ""
    """The dated version that calls name where the account says none: deployments are in their paths then
    (``providers.azure``).
    """
    lacks: frozenset[str] = frozenset()
    """Operations by their paths, and resources by their switches, that OpenAI has and it has not, whatever an account
    opens.
    """

    def __post_init__(self) -> None:
        if not self.provider:
            object.__setattr__(self, "provider", self.kind)
