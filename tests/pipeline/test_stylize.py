"""From request to result: sizes, recipes, Ctrl-C and resuming."""

import signal
import threading
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

import impasto
from impasto.core.errors import InputError
from impasto.core.plan import ExecutionSettings, Forecast, Plan
from impasto.core.request import MethodOutput, Request
from impasto.pictures import DiskArray, disk_array, read, resize, write
from impasto.pipeline import make_plan, make_request
from impasto.pipeline.checkpoint import Checkpoint
from impasto.pipeline.stylize import run_identity, run_request

QUICK = {"style_layers": ("conv1_1",), "content_layers": ("conv2_1",), "min_size": 24}
STEPS = 5


def prepared(files, **settings):
    settings = {"precision": "fp32", "device": "cpu", "steps": STEPS, **QUICK, **settings}
    request = make_request(files["content"], files["style"], **settings)
    return request, make_plan(request)


def stop_at(step):
    def watch(tick):
        if tick.step == step:
            raise KeyboardInterrupt

    return watch


@pytest.mark.parametrize(
    ("shape", "size", "wanted"),
    [
        ((23, 37), None, (23, 37)),
        ((37, 23), None, (37, 23)),
        ((23, 37), 74, (46, 74)),
        ((23, 37), 10, (6, 10)),
        ((1, 1), None, (1, 1)),
        ((1, 60), None, (1, 60)),
        ((60, 2), None, (60, 2)),
    ],
)
def test_the_size_is_never_another_than_asked_for(files, shape, size, wanted):
    content = np.random.default_rng(0).random((*shape, 3))
    result = impasto.stylize(
        content, files["style"], size=size, steps=2, precision="fp32", device="cpu", **QUICK
    )
    assert result.pixels.shape == (*wanted, 3)
    assert result.pixels.dtype == np.float32
    assert 0 <= result.pixels.min() <= result.pixels.max() <= 1
    assert [result.recipe.setting[k] for k in ("height", "width")] == list(wanted)


def test_the_recipe_tells_everything(files):
    request, plan = prepared(files, size=40, seed=7, strength=0.5)
    recipe = run_request(request, plan).recipe
    assert recipe.method == "gatys"
    assert recipe.knobs["strength"] == 0.5
    assert recipe.knobs["tv"] == 0.0  # defaults too
    assert [(i.role, i.name) for i in recipe.inputs] == [
        ("content", str(files["content"])),
        ("style", str(files["style"])),
    ]
    assert recipe.options["seed"] == 7
    assert recipe.setting["precision"] == "fp32"
    assert len(recipe.files["oxford"]) == 64
    assert set(recipe.versions) >= {"impasto", "torch", "numpy", "python"}
    assert recipe.finished
    assert recipe.steps == STEPS
    assert recipe.losses["total"] > 0
    assert recipe.peak_bytes > 1e7


def test_transparency_and_depth_come_from_the_content():
    rng = np.random.default_rng(0)
    content = (rng.random((32, 32, 4)) * 65535).astype(np.uint16)
    result = impasto.stylize(
        content, rng.random((32, 32, 3)), steps=1, precision="fp32", device="cpu", **QUICK
    )
    assert np.array_equal(result.alpha, content[..., 3].astype(np.float32) / 65535)
    assert result.bits == 16
    assert result.image.mode == "RGBA"


@dataclass(frozen=True)
class Copy:
    """A method that gives the content back, from disk to disk."""

    name: ClassVar[str] = "copy"

    def stylize(self, request, plan, callback, state=None):
        pixels = resize(request.content.pixels, plan.setting.height, plan.setting.width)
        return MethodOutput(pixels, {}, 1, True, {}, {})


@pytest.mark.parametrize(("height", "width"), [(40, 50), (30, 37)])
def test_a_picture_on_disk_stays_there_until_it_is_written(tmp_path, monkeypatch, height, width):
    monkeypatch.setattr(disk_array, "MAX_IN_MEMORY_MEGAPIXELS", 0.0)
    planes = np.random.default_rng(0).random((40, 50, 4), dtype=np.float32)
    write(planes[..., :3], tmp_path / "a.png", alpha=planes[..., 3])
    content = read(tmp_path / "a.png")
    plan = Plan(ExecutionSettings(height, width, "cpu", "fp32"), Forecast(1, 1), 1)
    result = run_request(Request(content, (content,), Copy()), plan)
    assert isinstance(result.pixels, DiskArray)
    assert isinstance(result.alpha, DiskArray)
    result.save(tmp_path / "b.png")
    with Image.open(tmp_path / "a.png") as before, Image.open(tmp_path / "b.png") as after:
        assert after.size == (width, height)
        if after.size == before.size:
            assert np.array_equal(before, after)


@pytest.mark.parametrize("step", [1, 3, STEPS, STEPS + 1, 2 * STEPS])
def test_stopped_and_resumed_gives_the_bits_of_an_unbroken_run(files, tmp_path, step):
    # 48 px from 24 px: two scales of five steps; the stops lie in both and at both ends.
    request, plan = prepared(files, size=48, init="noise")
    whole = run_request(request, plan)
    keeper = Checkpoint(tmp_path / "c", run_identity(request, plan))
    stopped = run_request(request, plan, callback=stop_at(step), checkpoint=keeper)
    assert not stopped.recipe.finished
    assert stopped.recipe.steps == step
    assert stopped.pixels.shape == whole.pixels.shape
    assert keeper.path.exists()
    steps = []
    keeper = Checkpoint(tmp_path / "c", run_identity(request, plan))
    resumed = run_request(
        request, plan, callback=lambda t: steps.append(t.step), checkpoint=keeper, resume=True
    )
    assert steps == list(range(step + 1, 2 * STEPS + 1))
    assert np.array_equal(resumed.pixels, whole.pixels)
    assert resumed.recipe.losses == whole.recipe.losses
    assert resumed.recipe.finished
    assert keeper.path.exists()  # until the picture is saved


def test_without_resume_a_checkpoint_is_not_looked_at(files, tmp_path):
    request, plan = prepared(files)
    (tmp_path / "c").write_bytes(b"not ours")
    keeper = Checkpoint(tmp_path / "c", run_identity(request, plan))
    assert run_request(request, plan, checkpoint=keeper).recipe.finished
    (tmp_path / "c").write_bytes(b"not ours")
    with pytest.raises(InputError, match="damaged"):
        run_request(request, plan, checkpoint=keeper, resume=True)


@pytest.mark.parametrize(
    ("settings", "differs"),
    [
        ({"seed": 1}, "seed"),
        ({"size": 39}, "size"),
        ({"strength": 0.5}, "knobs"),
        ({"precision": "bf16"}, "precision"),
    ],
)
def test_another_run_does_not_take_the_checkpoint(files, tmp_path, settings, differs):
    request, plan = prepared(files)
    keeper = Checkpoint(tmp_path / "c", run_identity(request, plan))
    run_request(request, plan, callback=stop_at(2), checkpoint=keeper)
    request, plan = prepared(files, **settings)
    other = Checkpoint(tmp_path / "c", run_identity(request, plan))
    with pytest.raises(InputError, match=f"another run: {differs} differ"):
        run_request(request, plan, checkpoint=other, resume=True)
    assert keeper.path.exists()


def test_ctrl_c_stops_between_two_steps(files):
    request, plan = prepared(files)
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def watch(tick):
        seen.append(tick.step)
        if tick.step == 2:
            signal.raise_signal(signal.SIGINT)
            seen.append("still here")

    result = run_request(request, plan, callback=watch)
    assert seen == [1, 2, "still here"]
    assert not result.recipe.finished
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_does_not_wait(files):
    request, plan = prepared(files)
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def watch(tick):
        signal.raise_signal(signal.SIGINT)
        seen.append("first")
        signal.raise_signal(signal.SIGINT)
        seen.append("second")

    result = run_request(request, plan, callback=watch)
    assert seen == ["first"]
    assert not result.recipe.finished
    assert signal.getsignal(signal.SIGINT) is before


def test_an_error_in_a_watch_comes_through_and_leaves_signals_as_they_were(files):
    request, plan = prepared(files)
    before = signal.getsignal(signal.SIGINT)

    def watch(tick):
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        run_request(request, plan, callback=watch)
    assert signal.getsignal(signal.SIGINT) is before


def test_it_works_off_the_main_thread(files):
    request, plan = prepared(files)
    found = []
    thread = threading.Thread(target=lambda: found.append(run_request(request, plan)))
    thread.start()
    thread.join()
    assert np.array_equal(found[0].pixels, run_request(request, plan).pixels)
