"""The contract's manifests of limits and budgets: read into rules, and written from them."""

from providers.manifests.kinds import add
from rules.manifests.kinds import KINDS

for _kind in KINDS:
    add(_kind)
