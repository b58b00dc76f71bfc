"""The upstream's models."""

CREATED = 1715367049
MODELS = ("gpt-4o", "gpt-4o-mini")
