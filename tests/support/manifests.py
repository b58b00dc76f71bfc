"""Manifests for ``Installation.apply``, in the shapes that operators write."""

from collections.abc import Iterable
from typing import Any

EVERYONE = "team:everyone"
ACCESS = "provider-account-access"


def provider(
    name: str,
    base_url: str,
    *,
    models: Iterable[Any],
    access: Iterable[str] = (EVERYONE,),
    key: str = "sk-sandbox",
    **fields: Any,
) -> dict[str, Any]:
    """Return the manifest of an OpenAI account. ``models`` are names of the catalogue or whole integrations."""
    integrations = [{"name": model} if isinstance(model, str) else model for model in models]
    return {
        "type": "provider-account/openai",
        "name": name,
        "base_url": base_url,
        "auth_data": {"type": "api-key", "api_key": key},
        "collaborators": [{"subject": subject, "role_id": ACCESS} for subject in access],
        "integrations": [{"type": "integration/model/openai", **integration} for integration in integrations],
        **fields,
    }


def chat_model(name: str, **fields: Any) -> dict[str, Any]:
    """Return a model of any name that may be chatted with."""
    return {"name": name, "model_types": ["chat"], **fields}
