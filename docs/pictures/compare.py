"""The sheet and the page that docs/compare.md shows: every method on one pair, and one variant.

    python docs/pictures/compare.py [--size 512] [--folder compare-canal-starry-night]

The times on it are honest only if the machine does nothing else. What lies in the folder already is
not painted again. The page is seen by playwright with a Chromium of the system's.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

import impasto
from impasto.pictures import read, write

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parents[1] / "examples"
METHODS = "all;gatys:structure=0.8"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--folder", default=str(Path(tempfile.gettempdir()) / "compare"))
    args = parser.parse_args()
    compared = impasto.compare(
        EXAMPLES / "photos" / "canal.jpg",
        EXAMPLES / "styles" / "starry-night.jpg",
        methods=METHODS,
        size=args.size,
        folder=args.folder,
        callback=lambda stage: print(f"{stage.fraction:4.0%} {stage.label}", end="\r"),
    )
    write(read(compared.contact_sheet_path).pixels, HERE / "compare.jpg", quality=85)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as tool:
        shot = Path(folder) / "page.png"
        path = shutil.ufunc("chromium-headless-shell") or shutil.ufunc("chromium")
        browser = tool.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        page.goto(compared.report_path.resolve().as_uri())
        frame = page.locator(".frame").first
        frame.scroll_into_view_if_needed()
        box = frame.bounding_box()
        page.mouse.click(box["x"] + 0.4 * box["width"], box["y"] + 0.5 * box["height"])
        page.screenshot(path=shot, full_page=True)
        browser.close()
        write(read(shot).pixels, HERE / "compare-page.jpg", quality=80)


if __name__ == "__main__":
    main()
