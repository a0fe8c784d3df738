"""A small study for tests: three methods, whose results are plain pictures of a few pixels."""

import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from impasto.study import database
from impasto.study.create import make_study
from impasto.study.database import StudyDatabase
from impasto.study.server import listen, make_server, served_urls
from impasto.study.session import Session

database._SYNCHRONOUS = "OFF"  # no power fails in a test, and disks that are shared are slow

METHODS = ("zebra", "quagga", "okapi")
"""Words that appear nowhere else, so that a leak can be found."""
SCENES = ("canal-wave", "canal-night", "tower-wave", "tower-night")


def picture(path, seed, size=(24, 16)):
    """A picture of its own for every seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (2, 3, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(path)
    return path


def folders(root, methods=METHODS, scenes=SCENES):
    """method → folder with a result for each scene; contents/ and styles/ beside them."""
    for k, name in enumerate(sorted({part for scene in scenes for part in scene.split("-")})):
        role = "contents" if name in ("canal", "tower") else "styles"
        picture(root / role / f"{name}.png", 1000 + k)
    for m, method in enumerate(methods):
        for s, scene in enumerate(scenes):
            picture(root / method / f"{scene}.png", 100 * m + s)
    return {method: root / method for method in methods}


def small_study(root, methods=METHODS, scenes=SCENES, **options):
    """The path of a new study; ``options`` go to make_study."""
    made_of = folders(root / "results", methods, scenes)
    options = {"contents": root / "results/contents", "styles": root / "results/styles"} | options
    make_study(root / "small.study", made_of, **options)
    return root / "small.study"


_KEPT = {}


def copied_study(root, **options):
    """The same without its folders: made once for each ``options``, then copied."""
    key = tuple(sorted(options.items()))
    if key not in _KEPT:
        with tempfile.TemporaryDirectory() as folder:
            _KEPT[key] = small_study(Path(folder), **options).read_bytes()
    root.mkdir(parents=True, exist_ok=True)
    path = root / "small.study"
    path.write_bytes(_KEPT[key])
    return path


def answer_all(session, secret, choose, most=10_000):
    """Let a rater answer until the end; ``choose(view)`` says what. Returns what was seen."""
    seen = []
    while (view := session.current_screen(secret)).trial and len(seen) < most:
        seen.append(view)
        session.save_answer(secret, view.trial, view.question, choose(view))
    return seen


def methods_of(path):
    """Picture token → (scene, method), which raters never learn."""
    with StudyDatabase(path).read_transaction() as base:
        return {
            row["token"]: (row["scene"], row["method"])
            for row in base.execute(
                "SELECT picture.token, scene.name AS scene, method.name AS method FROM result "
                "JOIN picture ON picture.id = result.picture JOIN scene ON scene.id = result.scene "
                "JOIN method ON method.id = result.method"
            )
        }


def preferring(path, order):
    """A way to choose: the method that comes first in ``order``."""
    made_by = {token: method for token, (_, method) in methods_of(path).items()}

    def choose(view):
        left, right = order.index(made_by[view.left]), order.index(made_by[view.right])
        return "left" if left < right else "right"

    return choose


def session_of(path):
    return Session(StudyDatabase(path))


@contextmanager
def served(path, **options):
    """The URL of the study, served by a thread on a free port."""
    study = StudyDatabase(path)
    with listen(port=0) as door, study.wal_mode():
        running = make_server(study, **options)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [door]})
        thread.start()
        try:
            yield served_urls(door)[0]
        finally:
            running.should_exit = True
            thread.join()
