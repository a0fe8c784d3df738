"""Plans, made with a method whose cost is known in closed form."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from impasto.core import devices
from impasto.core.errors import ResourceError
from impasto.core.picture import Picture
from impasto.core.plan import Forecast
from impasto.core.request import Request
from impasto.pictures import read
from impasto.pipeline import make_plan
from impasto.pipeline.plan import MAX_MEMORY_FRACTION, MIN_PRECISION_AGREEMENT

MB = 10**6
HELD = 100 * MB


@dataclass(frozen=True)
class Fake:
    """A method that takes 1 kB a pixel, twice that in fp32."""

    name: ClassVar[str] = "fake"
    cosine: float = 1.0
    says: tuple[str, ...] = ()

    def forecast(self, request, setting):
        each = 1000 if setting.precision == "bf16" else 2000
        pixels = setting.height * setting.width
        return Forecast(pixels / 1e5, HELD + each * pixels)

    def precision_agreement(self, request, device, precision):
        assert (device, precision) == ("cpu", "bf16")
        return self.cosine

    def warnings(self, request):
        return self.says


def picture(height=300, width=400, sha256="content"):
    return Picture(np.zeros((height, width, 3), np.float32), sha256=sha256)


def request(method=None, content=None, **settings):
    settings = {"device": "cpu", **settings}
    return Request(content or picture(), (picture(sha256="style"),), method or Fake(), **settings)


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """A machine with fast bf16 on which 900 MB are free beside what this process holds."""
    held = {"free": 900 * MB, "fast": True}
    monkeypatch.setattr(devices, "available_bytes", lambda device: held["free"])
    monkeypatch.setattr(devices, "resident_bytes", lambda: HELD)
    monkeypatch.setattr(devices, "has_fast_bf16", lambda device: held["fast"])
    return held


@pytest.mark.parametrize("size", [1, 7, 250, 400, 401])
def test_the_size_is_the_one_asked_for_and_never_another(size):
    setting = make_plan(request(size=size)).setting
    assert max(setting.height, setting.width) == size
    assert abs(setting.height / setting.width - 0.75) <= 0.5 / setting.width + 1e-9 or size < 3


def test_without_a_size_it_is_the_contents_own():
    setting = make_plan(request(content=picture(123, 57))).setting
    assert (setting.height, setting.width) == (123, 57)


def test_the_forecast_is_of_the_chosen_setting():
    plan = make_plan(request(size=200))
    assert plan.forecast == Fake().forecast(None, plan.setting)
    assert plan.available_bytes == int(MAX_MEMORY_FRACTION * 1000 * MB)


def test_what_does_not_fit_is_refused_with_what_would():
    # 0.9 · 1000 MB - 100 MB = 800 MB: 800,000 pixels in bf16, which is 1032 x 775.
    with pytest.raises(ResourceError) as caught:
        make_plan(request(size=2000))
    said = str(caught.value)
    assert caught.value.exit_code == 3
    assert "2000 x 1500 px needs 3.1 GB" in said
    assert "0.9 GB are free" in said
    fitting = int(said.split("--size ")[1].split(",")[0])
    assert 1032 * (1 - 1 / 32) <= fitting <= 1033
    assert make_plan(request(size=fitting)).setting.width == fitting
    with pytest.raises(ResourceError):
        make_plan(request(size=1040))


def test_fit_shrinks_it_and_says_so():
    plan = make_plan(request(size=2000, shrink_to_fit=True))
    assert 1032 * (1 - 1 / 32) <= plan.setting.width <= 1033
    assert plan.setting.height == round(plan.setting.width * 0.75)
    assert plan.forecast.peak_bytes <= plan.available_bytes
    assert plan.forecast == Fake().forecast(None, plan.setting)
    assert any(f"fitted to {plan.setting.width} px" in w for w in plan.warnings)


def test_fit_leaves_what_fits_alone():
    plan = make_plan(request(size=1000, shrink_to_fit=True))
    assert plan.setting.width == 1000
    assert plan.warnings == ()


@pytest.mark.parametrize("fit", [False, True])
def test_where_nothing_fits_that_is_said(machine, fit):
    machine["free"] = 0
    with pytest.raises(ResourceError, match="No size fits"):
        make_plan(request(size=2000, shrink_to_fit=fit))


def test_a_very_small_picture_is_not_searched_for_ever(machine):
    machine["free"] = 11_115_000  # 0.9 of it and of 100 MB less the 100 MB: 3,500 bytes
    plan = make_plan(request(size=3, content=picture(4, 4), shrink_to_fit=True))
    assert (plan.setting.height, plan.setting.width) == (1, 1)


@pytest.mark.parametrize(
    ("fast", "cosine", "precision", "why"),
    [
        (True, 0.999, "bf16", "faster here"),
        (True, MIN_PRECISION_AGREEMENT, "bf16", "faster here"),
        (True, MIN_PRECISION_AGREEMENT - 1e-3, "fp32", "agree too little"),
        (True, -1.0, "fp32", "agree too little"),
        (True, float("nan"), "fp32", "agree too little"),
        (False, 0.999, "fp32", "not faster"),
    ],
)
def test_bf16_is_taken_where_it_is_fast_and_right(machine, fast, cosine, precision, why):
    machine["fast"] = fast
    plan = make_plan(request(Fake(cosine)))
    assert plan.setting.precision == precision
    assert any(f"cpu in {precision}" in note and why in note for note in plan.notes)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_precision_that_is_asked_for_is_taken(machine, precision):
    machine["fast"] = False
    plan = make_plan(request(Fake(cosine=-1.0), precision=precision))
    assert plan.setting.precision == precision


def test_no_such_device_is_a_resource_error():
    with pytest.raises(ResourceError) as caught:
        make_plan(request(device="abacus"))
    assert caught.value.exit_code == 3


def test_the_methods_warnings_are_passed_on():
    assert make_plan(request(Fake(says=("Mind the paint.",)))).warnings == ("Mind the paint.",)


def test_enlarging_is_noted():
    assert not any("enlarged" in n for n in make_plan(request(size=400)).notes)
    assert any("400 px" in n and "enlarged" in n for n in make_plan(request(size=401)).notes)


def test_a_style_that_is_the_content_is_warned_of():
    same = Request(picture(), (picture(sha256="style"), picture()), Fake(), device="cpu")
    assert any("content picture itself" in w for w in make_plan(same).warnings)


def test_a_frame_of_a_film_is_warned_of_and_a_single_picture_is_not(tmp_path):
    gray = np.full((30, 40, 3), 90, np.uint8)
    for number, shade in ((1, 0), (2, 2), (9, 0)):
        Image.fromarray(gray + np.uint8(shade)).save(tmp_path / f"walk_{number}.png")
    frame, alone = (read(tmp_path / f"walk_{number}.png") for number in (1, 9))
    assert any("flicker" in w for w in make_plan(request(content=frame)).warnings)
    assert not any("flicker" in w for w in make_plan(request(content=alone)).warnings)
