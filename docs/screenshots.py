"""Take the pictures of the page in docs/img; needs the extra dev, and chromium."""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests"))

from served import serving  # noqa: E402

COLOURS = 160  # of a picture, which keeps it small


def main() -> None:
    """Transcribe the example on the page, and take its picture in light, dark and on a phone."""
    with serving() as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        screens: dict[str, dict[str, Any]] = {
            "page_light": {"viewport": {"width": 1180, "height": 760}},
            "page_dark": {"viewport": {"width": 1180, "height": 760}, "color_scheme": "dark"},
            "page_phone": {"viewport": {"width": 375, "height": 740}, "device_scale_factor": 1.5},
        }
        for name, options in screens.items():
            page = browser.new_page(**options)
            page.goto(f"{server.origin}/")
            page.wait_for_selector("#model option", state="attached")
            if name == "page_light":
                page.set_input_files("#files", ROOT / "examples" / "grieg_watchmans_song.flac")
            page.wait_for_selector("#decode:not([hidden])", timeout=300_000)
            page.wait_for_timeout(2000)
            page.click("#waveform", position={"x": 260, "y": 50})
            if name != "page_phone":
                page.press("#roll", "ArrowRight")
                page.focus("#play")
            save(page, name)
            page.close()
        browser.close()


def save(page: Page, name: str) -> None:
    """Save what is visible as a PNG of few colours."""
    page.wait_for_timeout(500)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(COLOURS).save(ROOT / "docs" / "img" / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
