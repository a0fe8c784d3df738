"""Measuring films in files: numbered pictures, whose motion is known."""

import numpy as np
import pytest
from moving import panning, texture
from PIL import Image

from impasto.core.errors import InputError
from impasto.core.picture import Picture
from impasto.evaluation.video import evaluate_video
from impasto.metrics.video import VIDEO_METRICS, VideoEvaluator

pytest.importorskip("cv2")
pytest.importorskip("av")


def write(folder, film):
    folder.mkdir()
    for i, frame in enumerate(film):
        Image.fromarray(np.uint8(np.rint(255 * frame))).save(folder / f"{i:03d}.png")
    return str(folder)


@pytest.fixture
def films(tmp_path):
    film = panning(8)
    random = np.random.default_rng(0)
    shaking = [np.clip(f + 0.1 * random.standard_normal(f.shape), 0, 1) for f in film]
    Image.fromarray(np.uint8(255 * texture(64, 64, 7))).save(tmp_path / "style.png")
    return {
        "film": write(tmp_path / "film", film),
        "steady": write(tmp_path / "steady", [1 - 0.5 * f for f in film]),
        "shaking": write(tmp_path / "shaking", shaking),
        "style": str(tmp_path / "style.png"),
    }


def test_a_shaking_film_is_less_steady(films):
    steady, shaking = (
        evaluate_video(films["film"], [films["style"]], films[name]) for name in
        ("steady", "shaking")
    )  # fmt: skip
    assert list(steady.values) == list(VIDEO_METRICS)
    assert steady.frames == 8
    assert steady.values["warping_1"] < 0.03 < 0.1 < shaking.values["warping_1"]


def test_the_style_itself_has_no_style_error():
    style = texture(64, 64, 7)
    gauge = VideoEvaluator([Picture(style)])
    for frame in [texture(64, 64, 3)] * 8:
        gauge.update(frame, style)
    assert gauge.compute()["style_error"] < 0.05


def test_true_motion_makes_it_exact(films, tmp_path):
    folder = tmp_path / "truth"
    folder.mkdir()
    flow = np.zeros((96, 128, 2), np.float32)
    flow[..., 0] = 2
    for i in range(7):
        np.savez(folder / f"{i:03d}.npz", flow=flow)
    found = evaluate_video(films["film"], [films["style"]], films["film"], flow_truth=str(folder))
    assert found.values["warping_1"] < 0.001
    assert found.values["warping_5"] < 0.001
    with pytest.raises(InputError, match="no flow in"):
        evaluate_video(films["film"], [films["style"]], films["film"], flow_truth=str(tmp_path))


def test_a_film_whose_sound_goes_on_is_measured(films, tmp_path):
    import clips

    frames = [np.uint8(255 * frame) for frame in panning(8)]
    film = clips.clip(tmp_path / "a.mkv", frames, audio="flac", heard=4)
    assert evaluate_video(film, [films["style"]], films["steady"]).frames == 8


def test_films_that_do_not_go_together(films, tmp_path):
    short = write(tmp_path / "short", panning(5))
    tall = write(tmp_path / "tall", panning(8, height=128))
    one = write(tmp_path / "one", panning(1))
    for result, says in ((short, "number of frames"), (tall, "same shape"), (one, "nothing moves")):
        with pytest.raises(InputError, match=says):
            evaluate_video(films["film"], [films["style"]], result)
