"""What a request's query may say to an upstream."""

import pytest

from gateway.endpoints.describe import without_models


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        ("model=gpt-4o&deployment=gpt-4o", ""),
        ("a=1&Model=gpt-4o&b=2", "a=1&b=2"),
        ("mod%65l=gpt-4o&limit=2", "limit=2"),
        ("models[]=a&deploymentId=b&fallbacks=c", ""),
        ("after=model&order=asc", "after=model&order=asc"),
    ],
)
def test_a_query_names_no_model(query: str, sent: str) -> None:
    assert without_models(query) == sent
