import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from impasto.cli import run

DRIVER = """
import impasto.pipeline.checkpoint
impasto.pipeline.checkpoint.MIN_INTERVAL_SECONDS = 0.0
from impasto.cli import main
main()
"""


@dataclass
class Done:
    """What a command line came to."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        (line,) = self.out.splitlines()
        return json.loads(line)


@pytest.fixture
def impasto(capsys):
    """Runs a command line in this process, from the arguments to the exit code."""

    def call(*args):
        capsys.readouterr()
        code = run([str(arg) for arg in args])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return Done(code, said.out, said.err)

    return call


@pytest.fixture(scope="session")
def photo(tmp_path_factory):
    y, x = np.mgrid[0:40, 0:56]
    pixels = np.stack([x * 4, y * 6, 255 - x * 4], -1).astype(np.uint8)
    pixels[10:30, 15:35] = (240, 220, 40)
    return _saved(tmp_path_factory, "photo.png", pixels)


@pytest.fixture(scope="session")
def style(tmp_path_factory):
    y, x = np.mgrid[0:50, 0:50]
    pixels = np.stack([(x // 4 + y // 3) % 2 * 200, x * 5, y * 4], -1).astype(np.uint8)
    return _saved(tmp_path_factory, "style.png", pixels)


def _saved(factory, name, pixels):
    path = factory.mktemp("inputs") / name
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def small():
    """Flags of the shortest run there is."""
    return ("--size", "48", "--steps", "2", "--precision", "fp32")


class Started:
    """A command line in a process of its own, which saves a checkpoint after every step."""

    def __init__(self, folder, args):
        self.process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, *map(str, args)],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    def wait_for(self, path: Path, seconds=60):
        """Until the file is there."""
        end = time.monotonic() + seconds
        while not path.exists():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < end
            time.sleep(0.01)

    def signal(self, number):
        self.process.send_signal(number)

    def end(self):
        out, err = self.process.communicate(timeout=60)
        return Done(self.process.returncode, out, err)


@pytest.fixture
def start(tmp_path):
    running = []

    def call(*args):
        running.append(Started(tmp_path, args))
        return running[-1]

    yield call
    for each in running:
        if each.process.poll() is None:
            each.signal(signal.SIGKILL)
            each.process.communicate()


def pixels_of(path):
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture
def pixels():
    return pixels_of
