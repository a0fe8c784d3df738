"""The example of docs/study.md: a study of the instant methods, its page, and a report.

    python docs/pictures/study.py [--keep FOLDER]

The paintings are real, and so are the page and the arithmetic. THE ANSWERS ARE SIMULATED: made-up
people with made-up tastes (TASTES below). They say nothing about the methods.

Needs playwright and a Chromium, as the tests of the page do.
"""

from __future__ import annotations

import argparse
import math
import random
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import impasto
from impasto.pictures import make_contact_sheet, read, write
from impasto.study.create import make_study
from impasto.study.database import StudyDatabase
from impasto.study.html_report import render_report
from impasto.study.report import report
from impasto.study.server import listen, make_server, served_urls
from impasto.study.session import Session
from impasto.weights import store as weights

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parents[1] / "examples"
PHOTOS = ("canal", "chapel", "lake", "tower")
STYLES = ("starry-night", "great-wave", "mosaic-ducks")
SIZE = 384

NOTE = "An example: the answers are simulated and say nothing about the methods."
PEOPLE, PAIRS_EACH = 12, 24
TASTES = {
    "keep": {"fast": 0.9, "adain": 0.2, "wct": -0.3},
    "style": {"fast": 1.0, "adain": -0.3, "wct": 0.1},
    "content": {"fast": 0.3, "adain": 0.4, "wct": -0.8},
}
"""What the made-up people think of each method, on the scale of the report's scores."""
OWN, OF_THE_SCENE, UNDECIDED = 0.5, 0.4, 0.4
"""How far people differ, how far scenes differ, and how readily people say "cannot tell"."""


def paint(folder: Path) -> dict[str, Path]:
    """Every photo in every style by every instant method; method → folder."""
    learnt = weights.load_model("fast", "fast").about["styles"]
    folders = {method: folder / method for method in ("adain", "wct", "fast")}
    for method, place in folders.items():
        place.mkdir()
        for photo in PHOTOS:
            for name in STYLES:
                style = name if method == "fast" and name in learnt else style_file(name)
                content = EXAMPLES / "photos" / f"{photo}.jpg"
                result = impasto.stylize(content, style, method=method, size=SIZE)
                result.save(place / f"{photo}-{name}.png")
    return folders


def style_file(name: str) -> Path:
    return EXAMPLES / "styles" / f"{name}.jpg"


def pretend(path: Path) -> None:
    """Let made-up people answer, through the same door as the web page."""
    session, chance = Session(StudyDatabase(path)), random.Random(0)
    with StudyDatabase(path).read_transaction() as base:
        shown = {
            row["token"]: (row["method"], row["scene"])
            for row in base.execute(
                "SELECT p.token, m.name AS method, r.scene FROM result r "
                "JOIN picture p ON p.id = r.picture JOIN method m ON m.id = r.method"
            )
        }
    scenes: dict[tuple[str, str, int], float] = {}
    for _ in range(PEOPLE):
        own = {(q, m): chance.gauss(0, OWN) for q, tastes in TASTES.items() for m in tastes}
        person = session.add_rater()
        while (view := session.current_screen(person)) and view.trial:
            worth = []
            for token in (view.left, view.right):
                method, scene = shown[token]
                key = view.question, method, scene
                of_scene = scenes.setdefault(key, chance.gauss(0, OF_THE_SCENE))
                worth.append(TASTES[key[0]][method] + own[key[0], method] + of_scene)
            half = (worth[0] - worth[1]) / 2
            odds = [math.exp(half), math.exp(-half), UNDECIDED]
            (choice,) = chance.choices(("left", "right", "neither"), odds)
            session.save_answer(person, view.trial, view.question, choice)


@contextmanager
def served(path: Path) -> Iterator[str]:
    study = StudyDatabase(path)
    with listen(port=0) as door, study.wal_mode():
        running = make_server(study)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [door]})
        thread.start()
        try:
            yield served_urls(door)[0]
        finally:
            running.should_exit = True
            thread.join()


def photograph(path: Path, page_file: Path, folder: Path) -> None:
    """Pictures of the page on a desk and on a phone, and of the report."""
    from playwright.sync_api import sync_playwright

    names = ("chromium-headless-shell", "chromium", "google-chrome")
    chromium = next(filter(None, map(shutil.ufunc, names)), None)
    desk = {"viewport": {"width": 1280, "height": 800}}
    phone = {"viewport": {"width": 390, "height": 800}, "is_mobile": True, "has_touch": True}
    with sync_playwright() as playwright, served(path) as url:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, options in (("desk", desk), ("phone", phone)):
            page = browser.new_context(**options).new_page()
            page.goto(url)
            page.get_by_role("button", name="Begin").click()
            page.wait_for_selector("main.pair:not(.waiting)")
            page.wait_for_load_state("networkidle")
            page.screenshot(path=folder / f"{name}.png")
        page = browser.new_context(viewport={"width": 1060, "height": 1400}).new_page()
        page.goto(page_file.as_uri())
        page.screenshot(path=folder / "report.png")
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", type=Path, help="a folder for the paintings and the study")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        path = folder / "instant.study"
        make_study(path, paint(folder), pairs_each=PAIRS_EACH)
        pretend(path)
        page_file = folder / "report.html"
        page_file.write_text(render_report(report(path), NOTE), encoding="utf-8")
        photograph(path, page_file, folder)
        tiles = [("", read(folder / f"{name}.png").pixels) for name in ("desk", "phone")]
        write(make_contact_sheet(tiles, height=800), HERE / "study.jpg", quality=86)
        write(read(folder / "report.png").pixels, HERE / "study-report.jpg", quality=86)


if __name__ == "__main__":
    main()
