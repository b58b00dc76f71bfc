"""An account that a test adds to a running gateway."""

from typing import Any

from tests.support.installation import Gateway
from tests.support.manifests import chat_model, provider


def add_account(gateway: Gateway, token: str, name: str, url: str, **fields: Any) -> str:
    """Create an account on ``url`` that all users may use, wait until the gateway knows it, and return its model's
    name.
    """
    gateway.installation.apply(provider(name, url, models=[chat_model("m", model_id="gpt-4o-mini")], **fields))
    gateway.wait_for(token, f"{name}/m")
    return f"{name}/m"
