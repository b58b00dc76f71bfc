"""Makes the screenshots of ``docs/console.md`` in a fresh demo: ``python -m tools.screenshot_console ORIGIN PASSWORD``.

They are 1440 pixels wide, with few colours: small files.
"""

import sys
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from tests.support.browser import FLAGS, chromium

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images"
WINDOW = {"width": 1440, "height": 900}
COLOURS = 96


def main(origin: str, password: str) -> None:
    """Sign in as the demo's superuser and write every screenshot."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        page = browser.new_context(viewport=WINDOW, base_url=origin, color_scheme="light").new_page()
        page.goto("/admin/")
        page.get_by_label("Email").fill("admin@example.com")
        page.get_by_label("Password").fill(password)
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Overview").wait_for()
        _keep(page, "/admin/?range=24h&by=application", "overview")
        _keep(page, "/admin/models/?q=gpt-4", "models")
        _ask(page)
        _keep(page, "", "playground")
        _keep(page, "/admin/tokens/new/", "token", "Only some accounts and models")
        page.goto("/admin/usage/usagerecord/?subject_name=nightly-report&ended=ok")
        page.get_by_role("row").filter(has_text="gpt-4.1").get_by_role("link").first.click()
        page.get_by_role("heading", name="Timeline").wait_for()
        _keep(page, "", "request")
        browser.close()


def _ask(page: Page) -> None:
    page.goto("/admin/playground/?model=openai-main/gpt-4o-mini")
    page.get_by_text("Loading your models").wait_for(state="hidden")
    page.get_by_label("Message").fill("Say hi in French.")
    page.get_by_role("button", name="Send").click()
    page.get_by_role("link", name="Its request").wait_for()


def _keep(page: Page, address: str, name: str, ticked: str = "") -> None:
    if address:
        page.goto(address)
    if ticked:
        page.get_by_label(ticked).check()
    page.wait_for_timeout(500)  # charts and local times
    image = Image.open(BytesIO(page.screenshot())).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    image.save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
