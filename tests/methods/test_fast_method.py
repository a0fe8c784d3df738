"""Fast networks: styles by their names."""

from pathlib import Path

import numpy as np
import pytest
import torch
from feed_forward import painted, pixels_of
from tiny_models import STYLES, fast_tensors, picture, pixels

import impasto
from impasto.core.errors import InputError, KnobError, WeightsError
from impasto.core.request import BuiltInStyles
from impasto.engines.feedforward.base import DeviceSpec
from impasto.methods import get_method, method_names
from impasto.methods.fast import FastModel
from impasto.ops.convert import as_tensor
from impasto.ops.padding import pad
from impasto.pictures import read, resize, write
from impasto.pipeline import make_request
from impasto.weights.model_files import write_model


def test_only_it_names_styles():
    assert [name for name in method_names() if issubclass(get_method(name), BuiltInStyles)] == [
        "fast"
    ]


def written(path, name, models):
    """A file of the picture that the model carries of a style."""
    write(get_method("fast").load_style(name, models["fast"]).pixels, path)
    return path


def test_a_name_and_a_path_of_that_name_are_one_style(models, tmp_path):
    content = picture(24, 32)
    path = written(tmp_path / "red-lines.png", "red-lines", models)
    by_name, by_path, by_object = (
        painted(models, "fast", content, style).pixels for style in ("red-lines", str(path), path)
    )
    assert np.array_equal(by_name, by_path)
    assert np.array_equal(by_name, by_object)


def test_a_name_may_hold_a_dot(models, tmp_path):
    path = written(tmp_path / "starry.night.jpg", "starry.night", models)
    request = make_request(
        picture(8, 8), ["starry.night", path], method="fast", weights=models["fast"]
    )
    assert [style.name for style in request.styles] == ["starry.night"] * 2


def test_a_named_style_has_the_picture_that_the_model_carries(models):
    style = get_method("fast").load_style("red-lines", models["fast"])
    assert style.pixels.shape == (20, 30, 3)
    assert style.pixels.dtype == np.float32
    assert np.abs(style.pixels - pixels(20, 30, 1)).mean() < 0.1
    assert style.sha256.endswith(":red-lines")


def test_an_unknown_style_names_the_nearest(models):
    with pytest.raises(InputError, match=r"'red-line'.*Did you mean red-lines\?.*--method adain"):
        painted(models, "fast", picture(8, 8), "red-line")
    with pytest.raises(InputError, match=r"no such file. Did you mean the learnt style red-lines"):
        painted(models, "fast", picture(8, 8), "red-line.jpg")


def test_a_picture_in_memory_has_no_name(models):
    with pytest.raises(InputError, match=r"cannot look at style 2: .*one of blue-dots, red-lines"):
        painted(models, "fast", picture(8, 8), ["blue-dots", pixels(8, 8)])


def test_the_share_of_the_content_is_what_strength_leaves(models):
    content = picture(24, 32)
    half = pixels_of(models, "fast", content, "red-lines", strength=0.5)
    mixed = pixels_of(
        models, "fast", content, ["red-lines", "blue-dots"], style_weights=(1, 0), strength=0.5
    )
    np.testing.assert_allclose(half, mixed, atol=1e-5)


def saved(models, tmp_path, styles=("red-lines",), **settings):
    content = tmp_path / "photo.png"
    impasto.stylize(picture(24, 32), "blue-dots", method="fast", weights=models["fast"]).save(
        content
    )
    result = impasto.stylize(
        content, list(styles), method="fast", weights=models["fast"], **settings
    )
    result.save(tmp_path / "out.png")
    return result, tmp_path / "out.png"


def test_a_recipe_remembers_the_names(models, tmp_path):
    result, path = saved(models, tmp_path, ("red-lines", "blue-dots"), style_weights=(1, 3))
    recipe = impasto.load_recipe(path)
    assert [i.name for i in recipe.inputs if i.role == "style"] == ["red-lines", "blue-dots"]
    assert np.array_equal(impasto.rerun(path).pixels, result.pixels)


def test_another_style_is_no_rerun(models, tmp_path):
    _, path = saved(models, tmp_path)
    with pytest.raises(InputError, match="made with the style red-lines, not blue-dots"):
        impasto.rerun(path, styles=["blue-dots"])


def test_another_network_is_no_rerun(models, tmp_path):
    mine = tmp_path / "mine.safetensors"
    mine.write_bytes(Path(models["fast"]).read_bytes())
    _, path = saved({"fast": str(mine)}, tmp_path)
    about = {"styles": STYLES, "widths": (4, 6, 8), "blocks": 2}
    with mine.open("wb") as file:
        write_model(file, "fast", fast_tensors(), about, {"license": "another"})
    with pytest.raises(InputError, match="are other ones now"):
        impasto.rerun(path)


@pytest.mark.parametrize("missing", ["last.weight", "picture.1"])
def test_a_network_without_its_tensors_is_named(models, tmp_path, missing):
    path = tmp_path / "broken.safetensors"
    tensors = {n: t for n, t in fast_tensors().items() if n != missing}
    about = {"styles": STYLES, "widths": (4, 6, 8), "blocks": 2}
    with path.open("wb") as file:
        write_model(file, "fast", tensors, about, {})
    with pytest.raises(WeightsError, match=rf"broken\.safetensors is not whole.*{missing}"):
        painted({"fast": str(path)}, "fast", picture(8, 8), "red-lines")


def test_a_file_that_is_another_picture_than_its_name_says(models, tmp_path):
    path = written(tmp_path / "red-lines.png", "red-lines", models)
    write(1 - read(path).pixels, path)
    with pytest.raises(InputError, match="is another picture than the style red-lines"):
        painted(models, "fast", picture(8, 8), str(path))


def film_painter(models, share):
    painter = FastModel(models["fast"], DeviceSpec("cpu", "fp32"))
    painter.set_styles(["red-lines"], [1.0])
    painter.average_moments(share)
    return painter


def frames():
    return torch.rand(4, 1, 3, 24, 32, generator=torch.Generator().manual_seed(0))


def test_a_share_of_one_paints_every_frame_by_itself(models):
    painter = film_painter(models, 1.0)
    plain = FastModel(models["fast"], DeviceSpec("cpu", "fp32"))
    plain.set_styles(["red-lines"], [1.0])
    for frame in frames():
        assert torch.equal(painter(frame), plain(frame))
    assert painter.state_dict() == {}


def test_a_film_goes_on_from_its_state_with_the_same_bits(models):
    whole, broken, resumed = (film_painter(models, 0.2) for _ in range(3))
    wanted = [whole(frame) for frame in frames()]
    for frame in frames()[:2]:
        broken(frame)
    state = broken.state_dict()
    resumed.load_state_dict(state)
    for frame, painting in zip(frames()[2:], wanted[2:], strict=True):
        assert torch.equal(resumed(frame), painting)
    assert all(torch.equal(t, state[name]) for name, t in broken.state_dict().items())


def test_a_new_shot_forgets_the_one_before(models):
    painter, fresh = film_painter(models, 0.2), film_painter(models, 0.2)
    first, second, *_ = frames()
    painter(first)
    wanted = fresh(second)
    assert not torch.equal(painter(second), wanted)
    painter.start_shot()
    assert torch.equal(painter(second), wanted)


def test_what_cannot_be_averaged_is_refused(models):
    painter = film_painter(models, 0.2)
    for share in (0.0, 1.5):
        with pytest.raises(KnobError, match="over 0 and at most 1"):
            painter.average_moments(share)
    with pytest.raises(InputError, match="of another network"):
        painter.load_state_dict({"mean.0": torch.zeros(3), "variance.0": torch.zeros(3)})


def unsteady(weights, style, frames):
    """How much two frames' paintings differ that show the same, 8 px off the edges."""
    painter = FastModel(weights, DeviceSpec("cpu", "fp32"))
    painter.set_styles([style], [1.0])
    (one, one_left), (other, other_left) = frames
    with torch.inference_mode():
        first, second = (
            painter(pad(as_tensor(frame), 4))[:, :, 32:, 32:] for frame in (one, other)
        )
    height, width = one.shape[0] - 16, one.shape[1] - 18
    first, second = (
        painted[:, :, 8 : 8 + height, 8 + left : 8 + left + width]
        for painted, left in ((first, one_left), (second, other_left))
    )
    return float((first - second).square().mean() ** 0.5)


@pytest.mark.parametrize("style", ["scream", "starry-night", "udnie", "water-lilies"])
def test_the_network_for_films_is_steadier_than_the_plain_one(style):
    photo = read(Path(__file__).parents[2] / "examples/photos/lake.jpg").pixels
    photo = np.asarray(resize(photo, 160, 240))
    noise = np.random.default_rng(0).normal(0, 0.02, photo.shape).astype(np.float32)
    pan = (photo[:, :-1], 1), (photo[:, 1:], 0)
    noisy = (photo, 0), (photo + noise, 0)
    for frames in (pan, noisy):
        assert unsteady("fast-stable", style, frames) < 0.8 * unsteady("fast", style, frames)
