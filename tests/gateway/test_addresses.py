"""The table of addresses: no base is taken for another that it begins like."""

import re

import pytest

from gateway.addresses import API_PREFIX, BASES


@pytest.mark.parametrize("version", ["", "/v1"])
@pytest.mark.parametrize("base", BASES)
def test_a_base_is_matched_whole(base: str, version: str) -> None:
    """As Django does: the first match of a prefix counts, whatever comes behind it."""
    found = re.search(API_PREFIX, f"{base}{version}/chat/completions")
    assert found is not None
    assert found[0] == f"{base}{version}/"
