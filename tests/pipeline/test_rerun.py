"""Repeating a result from the recipe inside it."""

import json
import shutil

import numpy as np
import pytest
import safetensors.torch
import torch

import impasto
from impasto.core.errors import InputError
from impasto.pictures import write
from impasto.pipeline.rerun import rerun_request
from impasto.weights import model_files, store, vgg_layers

# Two shallow layers and few steps: what is tested here does not depend on the painting.
QUICK = {"steps": 3, "style_layers": ("conv1_1",), "content_layers": ("conv2_1",)}


def painted(files, **settings):
    settings = {"precision": "fp32", "device": "cpu", **QUICK, **settings}
    result = impasto.stylize(files["content"], [files["style"]], **settings)
    result.save(files["content"].parent / "out.png")
    return files["content"].parent / "out.png", result


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"size": 37, "seed": 5, "init": "noise"},
        {"size": 50, "optimizer": "adam", "ema_decay": 0.9, "min_size": 16, "tv": 1.0},
    ],
    ids=["plain", "noise", "many knobs"],
)
def test_the_same_pixels_come_out(files, settings):
    path, first = painted(files, **settings)
    again = impasto.rerun(path)
    assert np.array_equal(again.pixels, first.pixels)
    assert again.recipe.knobs == first.recipe.knobs
    assert again.recipe.options == first.recipe.options
    assert again.recipe.inputs == first.recipe.inputs
    assert again.recipe.setting == first.recipe.setting


def test_another_seed_would_not_have_given_them(files):
    _, one = painted(files, init="noise", seed=1)
    _, two = painted(files, init="noise", seed=2)
    assert not np.array_equal(one.pixels, two.pixels)


def test_several_styles_keep_their_order_and_weights(files):
    result = impasto.stylize(
        files["content"], [files["style"], files["other"]], style_weights=(1, 3),
        precision="fp32", device="cpu", **QUICK,
    )  # fmt: skip
    path = files["content"].parent / "out.png"
    result.save(path)
    request = rerun_request(path)
    assert [s.name for s in request.styles] == [str(files["style"]), str(files["other"])]
    assert request.normalized_style_weights == (0.25, 0.75)
    assert np.array_equal(impasto.rerun(path).pixels, result.pixels)


def test_inputs_beside_the_result_are_found(files, tmp_path):
    path, first = painted(files)
    there = tmp_path / "moved"
    there.mkdir()
    for each in (path, files["content"], files["style"]):
        shutil.move(each, there / each.name)
    assert np.array_equal(impasto.rerun(there / path.name).pixels, first.pixels)


def test_inputs_elsewhere_are_found_where_the_caller_says(files, tmp_path):
    path, first = painted(files)
    (tmp_path / "far").mkdir()
    content = shutil.move(files["content"], tmp_path / "far" / "a.png")
    style = shutil.move(files["style"], tmp_path / "far" / "b.png")
    with pytest.raises(InputError, match="--content"):
        impasto.rerun(path)
    with pytest.raises(InputError, match="--style"):
        impasto.rerun(path, content=content)
    again = impasto.rerun(path, content=content, styles=[style])
    assert np.array_equal(again.pixels, first.pixels)


@pytest.mark.parametrize("role", ["content", "style"])
def test_a_changed_input_is_refused(files, role):
    path, _ = painted(files)
    shutil.copy(files["other"], files[role])
    with pytest.raises(InputError, match=f"The {role} picture .* not to be found unchanged"):
        impasto.rerun(path)
    where = {"content": files["other"]} if role == "content" else {"styles": [files["other"]]}
    with pytest.raises(InputError, match="unchanged"):
        impasto.rerun(path, **where)


def test_an_init_picture_is_an_input_like_the_others(files):
    path, first = painted(files, init=str(files["other"]))
    assert np.array_equal(impasto.rerun(path).pixels, first.pixels)
    shutil.copy(files["style"], files["other"])
    with pytest.raises(InputError, match=r"init picture .* not to be found unchanged"):
        impasto.rerun(path)


def test_a_choice_of_the_name_of_its_weights_is_no_picture(files):
    result = impasto.stylize(files["content"], files["style"], method="wct", device="cpu",
                             transform="wct", precision="fp32")  # fmt: skip
    path = files["content"].parent / "out.png"
    result.save(path)
    assert result.recipe.knobs["transform"] in result.recipe.files
    assert np.array_equal(impasto.rerun(path).pixels, result.pixels)


def own_weights(path, scale):
    """A VGG-16 of one's own, in torchvision's layout."""
    shapes = vgg_layers.tensor_shapes("vgg16")
    names = vgg_layers.torchvision_names("vgg16")
    tensors = {names[n]: torch.full(shape, scale) for n, shape in shapes.items()}
    safetensors.torch.save_file(tensors, path)


def test_weights_of_ones_own_must_be_the_same_too(files, tmp_path):
    mine = tmp_path / "mine.safetensors"
    own_weights(mine, 0.01)
    path, first = painted(files, weights=str(mine))
    assert np.array_equal(impasto.rerun(path).pixels, first.pixels)
    own_weights(mine, 0.02)
    with pytest.raises(InputError, match=r"mine\.safetensors are other ones now"):
        impasto.rerun(path)


def test_models_that_came_with_another_version_are_refused(files, tmp_path, monkeypatch):
    path, first = painted(files, weights="compact")
    assert np.array_equal(impasto.rerun(path).pixels, first.pixels)
    assert first.recipe.files == {"compact": store.load_encoder("compact").sha256}
    other = tmp_path / "bundled"
    other.mkdir()
    tensors = safetensors.torch.load_file(store.bundled_models()["compact"])
    with (other / "compact.safetensors").open("wb") as file:
        model_files.write_model(file, "compact", tensors, {}, {})
    monkeypatch.setattr(model_files, "BUNDLED_FOLDER", other)
    with pytest.raises(InputError, match=r"compact are other ones now.*came with Impasto \d"):
        impasto.rerun(path)


def test_another_number_of_styles_is_refused(files):
    path, _ = painted(files)
    with pytest.raises(InputError, match="made with 1 styles, not 2"):
        impasto.rerun(path, styles=[files["style"], files["other"]])


def test_a_picture_without_recipe_is_refused(files):
    with pytest.raises(InputError, match="holds no recipe"):
        impasto.load_recipe(files["content"])


@pytest.mark.parametrize("lack", ["content", "precision", "height"])
def test_a_recipe_that_lacks_something_is_refused(files, lack):
    path, result = painted(files)
    recipe = json.loads(result.recipe.to_json())
    if lack == "content":
        recipe["inputs"] = [i for i in recipe["inputs"] if i["role"] == "style"]
    else:
        del recipe["setting"][lack]
    write(result.pixels, path, recipe=json.dumps(recipe))
    with pytest.raises(InputError, match=f"not whole: '{lack}' is missing"):
        impasto.rerun(path)


def test_it_computes_with_as_many_threads_as_then_and_puts_them_back(files):
    torch.set_num_threads(2)
    path, first = painted(files)
    assert first.recipe.setting["threads"] == 2
    torch.set_num_threads(1)
    seen = []
    impasto.rerun(path, callback=lambda tick: seen.append(torch.get_num_threads()))
    assert set(seen) == {2}
    assert torch.get_num_threads() == 1


def test_a_stopped_painting_is_painted_to_its_end(files):
    def stop(tick):
        if tick.step == 2:
            raise KeyboardInterrupt

    path, stopped = painted(files, callback=stop)
    assert not stopped.recipe.finished
    again = impasto.rerun(path)
    assert again.recipe.finished
    assert np.array_equal(again.pixels, painted(files)[1].pixels)
