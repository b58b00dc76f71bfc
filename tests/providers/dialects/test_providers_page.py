"""``docs/providers.md`` says what the code's tables say."""

from tools.build_providers_doc import PAGE, page


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == page(), "run python -m tools.build_providers_doc"
