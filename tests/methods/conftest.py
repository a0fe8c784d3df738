"""Real weights, real pictures made small, and a painter that needs no plan."""

import dataclasses
from pathlib import Path

import pytest

from impasto.core.knobs import knobs_from_dict
from impasto.core.plan import ExecutionSettings, Forecast, Plan
from impasto.core.progress import ignore_progress
from impasto.core.request import Request
from impasto.methods.gatys import Gatys
from impasto.pictures import fit_long_side, read, resize

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(autouse=True)
def _quick(quick):
    """Everything here is."""


def small(path, side=48):
    picture = read(EXAMPLES / path)
    size = fit_long_side(picture.height, picture.width, side)
    return dataclasses.replace(picture, pixels=resize(picture.pixels, *size), name=path)


@pytest.fixture(scope="session")
def content():
    return small("photos/canal.jpg")


@pytest.fixture(scope="session")
def style():
    return small("styles/starry-night.jpg")


@pytest.fixture(scope="session")
def other_style():
    return small("styles/composition-vii.jpg")


@pytest.fixture
def request_of(content, style):
    def make(
        *, content=content, styles=(style,), shares=(), size=None, seed=0, weights="", **knobs
    ):
        method = knobs_from_dict(Gatys, knobs)
        return Request(content, tuple(styles), method, shares, size, seed, weights)

    return make


@pytest.fixture
def paint(request_of):
    """Paints with the real method in fp32 on the processor; takes settings and knobs alike."""

    def run(*, watch=ignore_progress, state=None, **settings):
        request = request_of(**settings)
        return request.method.stylize(request, plan_of(request), watch, state)

    return run


def plan_of(request):
    return Plan(setting_of(request), Forecast(0.0, 0), 0)


def setting_of(request, precision="fp32"):
    size = request.size or request.content.long_side
    height, width = fit_long_side(request.content.height, request.content.width, size)
    return ExecutionSettings(height, width, "cpu", precision)
