"""A real browser for page tests: Debian's Chromium, driven by Playwright."""

import contextlib
import shutil
from collections.abc import Iterator

from playwright.sync_api import Page, sync_playwright

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WINDOW = {"width": 1400, "height": 1000}


def chromium() -> str:
    """Return the path of Chromium; fail with the way to install it when it is not there."""
    path = shutil.which("chromium")
    if path is None:
        raise AssertionError("Page tests need Chromium on the PATH. Install it: sudo apt-get install chromium")
    return path


@contextlib.contextmanager
def open_page(base_url: str) -> Iterator[Page]:
    """Open a page of a fresh profile.

    It fails at the end when a page of that profile erred, or asked for anything outside ``base_url``.
    """
    faults: list[str] = []

    def on_request(url: str) -> None:
        if not url.startswith((base_url, "data:", "blob:")):
            faults.append(f"a page asked for {url}")

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        try:
            context = browser.new_context(viewport=WINDOW, base_url=base_url)
            context.on("request", lambda request: on_request(request.url))
            context.on("weberror", lambda error: faults.append(f"a script failed: {error.error}"))
            context.on("console", lambda said: faults.append(f"console: {said.text}") if said.type == "error" else None)
            page = context.new_page()
            page.set_default_timeout(15_000)
            yield page
        finally:
            browser.close()
    assert not faults, "; ".join(faults)
