"""Regions as a caller asks for them: read, refused, recorded and made again."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

import impasto
from impasto.core.errors import ImpastoError, InputError, KnobError
from impasto.core.request import Region
from impasto.pictures import read, read_recipe
from impasto.pipeline import make_request
from impasto.pipeline.checkpoint import Checkpoint
from impasto.pipeline.region_options import format_region, region_table, save_regions
from impasto.pipeline.stylize import run_identity, run_request

SMALL = {"method": "adain", "precision": "fp32", "device": "cpu"}


@pytest.fixture
def folder(tmp_path, models):
    """A content, two styles, a mask and label pictures of 40 x 32 px, as files."""
    random = np.random.default_rng(0)
    for name in ("content", "style", "other"):
        coarse = Image.fromarray(random.integers(0, 256, (4, 5, 3), dtype=np.uint8))
        coarse.resize((40, 32), Image.Resampling.BICUBIC).save(tmp_path / f"{name}.png")
    half = np.zeros((32, 40), np.uint8)
    half[:, 20:] = 255
    Image.fromarray(half).save(tmp_path / "mask.png")
    labels = np.zeros((32, 40, 3), np.uint8)
    labels[:, :25] = (0, 0, 255)
    labels[:, 25:] = (255, 0, 0)
    Image.fromarray(labels).save(tmp_path / "labels.png")
    labels[:12] = (255, 255, 255)
    Image.fromarray(labels).save(tmp_path / "style-labels.png")
    return tmp_path


@pytest.fixture
def ask(folder, models):
    def make(*styles, **settings):
        files = [folder / f"{name}.png" for name in styles]
        return make_request(folder / "content.png", files, weights=models["adain"],
                            **{**SMALL, **settings})  # fmt: skip

    return make


@pytest.fixture
def paint(folder, models):
    def run(*styles, **settings):
        files = [folder / f"{name}.png" for name in styles]
        result = impasto.stylize(folder / "content.png", files, weights=models["adain"],
                                 **{**SMALL, **settings})  # fmt: skip
        result.save(folder / "out.png")
        return result

    return run


def test_the_styles_of_regions_are_added_to_the_styles(ask, folder):
    request = ask(
        "style",
        regions=[(folder / "mask.png", folder / "other.png"), (folder / "mask.png", 0),
                 (folder / "mask.png", folder / "other.png", folder / "mask.png")],
        style_weights=(2,),
    )  # fmt: skip
    assert [s.name.rsplit("/")[-1] for s in request.styles] == ["style.png", "other.png"]
    assert [r.style_index for r in request.regions] == [1, 0, 1]
    assert [r.style_mask is not None for r in request.regions] == [False, False, True]
    assert request.style_weights == (2, 0)
    assert request.region_options["regions"][2][1:] == [1, str(folder / "mask.png")]


def test_without_a_style_the_first_of_a_region_is_the_rests(ask, folder):
    request = ask(regions=[(folder / "mask.png", folder / "other.png")])
    assert (len(request.styles), request.normalized_style_weights) == (1, (1.0,))


def test_labels_pair_content_and_style(ask, folder):
    request = ask("style", labels=folder / "labels.png", style_labels=folder / "style-labels.png")
    assert [r.name for r in request.regions] == ["#0000ff", "#ff0000"]
    assert "#ffffff of" in request.region_warnings[0]
    assert [format_region(row) for row in region_table(request)] == [
        "#0000ff, 62% of the content: style.png, 39% of it",
        "#ff0000, 38% of the content: style.png, 23% of it",
    ]


def test_labels_without_style_labels_take_a_style_each(ask, folder):
    request = ask("style", "other", labels=folder / "labels.png")
    assert [(r.name, r.style_index) for r in request.regions] == [("#0000ff", 0), ("#ff0000", 1)]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"labels": "labels.png"}, r"has 2 labels and there is 1 style: give 2 styles, in the "
         r"order #0000ff \(62%\), #ff0000 \(38%\); or one style with style_labels"),
        ({"style_labels": "labels.png"}, "need the labels of the content too"),
        ({"labels": "labels.png", "style_labels": ["labels.png"] * 2},
         "2 style label pictures for 1 styles"),
        ({"labels": "labels.png", "regions": [("mask.png", "style.png")]}, "not both"),
        ({"labels": "content.png", "style_labels": "labels.png"}, "does not look like a label"),
        ({"regions": ["mask.png"]}, "Region 1 is 'mask.png': give a mask and a style"),
        ({"regions": [("mask.png", 7)]}, "names style 8 of 1"),
        ({"regions": [("nowhere.png", 0)]}, r"nowhere\.png: there is no such file"),
        ({"regions": 3}, "give pairs"),
        ({"regions": "automatic"}, "give auto, auto:N with N from 2 to 8"),
        ({"regions": "auto:1"}, "N from 2 to 8"),
        ({"regions": "auto:9"}, "N from 2 to 8"),
        ({"background": "keep"}, "give a region"),
        ({"feather": 4}, "feather softens the edges of regions: give a region"),
        ({"regions": [("mask.png", 0)], "background": "leave"}, "must be style or keep"),
        ({"regions": [("mask.png", 0)], "feather": -1}, "must be 0 to 10000 px"),
    ],
)  # fmt: skip
def test_regions_that_do_not_fit_are_refused(ask, folder, monkeypatch, settings, says):
    monkeypatch.chdir(folder)
    with pytest.raises(ImpastoError, match=says):
        ask("style", **settings)


def test_automatic_regions_are_of_one_style(ask):
    with pytest.raises(KnobError, match="1 style, and there are 2 styles"):
        ask("style", "other", regions="auto")


def test_a_method_without_regions_refuses_them(folder, models):
    with pytest.raises(KnobError, match="The method fast knows no regions"):
        make_request(
            folder / "content.png", "blue-dots", method="fast", weights=models["fast"],
            regions=[(folder / "mask.png", 0)],
        )  # fmt: skip


def test_the_plan_tells_of_resampled_masks_and_of_labels_without_a_partner(ask, folder):
    Image.open(folder / "mask.png").resize((80, 64)).save(folder / "mask.png")
    plan = impasto.plan(ask("style", regions=[(folder / "mask.png", folder / "other.png")]))
    assert any("is resampled to the 40 x 32 px" in note for note in plan.notes)
    labels = {"labels": folder / "labels.png", "style_labels": folder / "style-labels.png"}
    assert any("not looked at" in w for w in impasto.plan(ask("style", **labels)).warnings)


def settings_of(folder, which):
    mask = folder / "mask.png"
    return {
        "masks": (("style",), {"regions": [(mask, folder / "other.png")]}),
        "no other style": ((), {"regions": [(mask, folder / "other.png")], "background": "keep"}),
        "style masks": (("style",), {"regions": [(mask, 0, mask)], "feather": 7.0}),
        "labels": (("style",), {"labels": folder / "labels.png",
                                "style_labels": folder / "style-labels.png"}),
        "labels, two styles": (("style", "other"), {"labels": folder / "labels.png"}),
        "auto": (("style",), {"regions": "auto:2"}),
    }[which]  # fmt: skip


WAYS = ["masks", "no other style", "style masks", "labels", "labels, two styles", "auto"]


@pytest.mark.parametrize("way", WAYS)
def test_a_rerun_gives_the_same_pixels(paint, folder, way):
    styles, settings = settings_of(folder, way)
    first = paint(*styles, **settings)
    again = impasto.rerun(folder / "out.png")
    assert np.array_equal(again.pixels, first.pixels)
    for part in ("inputs", "options", "regions", "files"):
        assert getattr(again.recipe, part) == getattr(first.recipe, part)
    assert json.loads(read_recipe(folder / "out.png"))["regions"]


def test_a_rerun_finds_style_labels_of_which_none_has_a_partner(paint, folder):
    nothing = np.full((32, 40, 3), (255, 255, 255), np.uint8)
    Image.fromarray(nothing).save(folder / "nothing.png")
    labels = {"labels": folder / "labels.png", "style_labels": folder / "nothing.png"}
    first = paint("style", **labels)
    assert any("No label of" in warning for warning in first.recipe.warnings)
    assert "style labels" in [i.role for i in first.recipe.inputs]
    assert np.array_equal(impasto.rerun(folder / "out.png").pixels, first.pixels)


def test_the_recipe_names_masks_with_their_checksums(paint, folder):
    recipe = paint("style", **settings_of(folder, "masks")[1]).recipe
    assert [i.role for i in recipe.inputs] == ["content", "style", "style", "mask"]
    assert recipe.inputs[3].sha256 == read(folder / "mask.png").sha256
    assert recipe.regions[0] == {
        "name": "mask.png", "share": 0.5, "style": str(folder / "other.png"), "style_share": None
    }  # fmt: skip
    assert recipe.options["background"] == "style"


def test_masks_beside_the_result_are_found_and_changed_ones_refused(paint, folder, tmp_path):
    first = paint("style", **settings_of(folder, "labels")[1])
    there = tmp_path / "moved"
    there.mkdir()
    for each in folder.glob("*.png"):
        shutil.move(each, there / each.name)
    assert np.array_equal(impasto.rerun(there / "out.png").pixels, first.pixels)
    shutil.copy(there / "mask.png", there / "labels.png")
    with pytest.raises(InputError, match=r"The labels picture .*labels\.png .* not to be found"):
        impasto.rerun(there / "out.png")


def test_regions_from_memory_are_painted_but_cannot_be_made_again(paint, folder):
    mask = np.zeros((32, 40), np.float32)
    mask[:16] = 1
    paint("style", "other", regions=[Region("mine", mask, 1)])
    with pytest.raises(InputError, match="regions that came from memory"):
        impasto.rerun(folder / "out.png")


def test_other_masks_are_another_run(ask, folder):
    mask, other = folder / "mask.png", folder / "labels.png"
    requests = [
        ask("style", regions=[(mask, 0)]), ask("style", regions=[(other, 0)]), ask("style"),
        ask("style", regions=[(mask, 0)], background="keep"),
        ask("style", regions=[(mask, 0)], feather=3),
    ]  # fmt: skip
    names = [json.dumps(run_identity(r, impasto.plan(r))) for r in requests]
    assert len(set(names)) == len(names)


def test_a_run_with_regions_goes_on_from_its_checkpoint_and_no_other(ask, folder):
    mask = folder / "mask.png"
    shallow = {"method": "gatys", "steps": 4, "style_layers": ("conv1_1",), "content_layers": ()}
    request, other = (
        make_request(folder / "content.png", folder / "style.png", precision="fp32", device="cpu",
                     regions=[(path, folder / "other.png")], **shallow)
        for path in (mask, folder / "labels.png")
    )  # fmt: skip
    plan = impasto.plan(request)
    whole = run_request(request, plan)

    def stop(tick):
        if tick.step == 2:
            raise KeyboardInterrupt

    checkpoint = Checkpoint(folder / "state", run_identity(request, plan))
    assert not run_request(request, plan, callback=stop, checkpoint=checkpoint).recipe.finished
    again = run_request(request, plan, checkpoint=checkpoint, resume=True)
    assert np.array_equal(again.pixels, whole.pixels)
    with pytest.raises(InputError, match="belongs to another run: regions differ"):
        Checkpoint(folder / "state", run_identity(other, plan)).load()


@pytest.mark.parametrize("method", ["adain", "wct", "gatys"])
@pytest.mark.parametrize("bits", [8, 16])
def test_a_kept_rest_is_the_content_to_the_bit_in_the_file(folder, models, quick, method, bits):
    kind = np.uint8 if bits == 8 else np.uint16
    numbers = np.random.default_rng(1).integers(0, 2**bits, (32, 40, 3)).astype(kind)
    knobs = {"weights": models[method]} if method != "gatys" else {
        "steps": 2, "style_layers": ("conv1_1",), "content_layers": ("conv2_1",)
    }  # fmt: skip
    result = impasto.stylize(
        numbers, method=method, precision="fp32", device="cpu", background="keep", feather=6,
        regions=[(folder / "mask.png", folder / "other.png")], **knobs,
    )  # fmt: skip
    result.save(folder / "out.png")
    found = np.rint(np.asarray(read(folder / "out.png").pixels) * (2**bits - 1)).astype(kind)
    assert np.array_equal(found[:, :20], numbers[:, :20])
    assert not np.array_equal(found[:, 30:], numbers[:, 30:])


@pytest.mark.parametrize("way", ["auto", "labels"])
def test_written_labels_given_back_make_the_same_picture(paint, ask, folder, way):
    styles, settings = settings_of(folder, way)
    first = paint(*styles, **settings)
    written = save_regions(ask(*styles, **settings), folder / "regions")
    assert [p.name for p in written] == ["content-labels.png", "style-labels.png"]
    again = paint(*styles, labels=written[0], style_labels=written[1])
    assert np.array_equal(again.pixels, first.pixels)


def test_masks_are_written_as_they_were_read(ask, folder):
    request = ask("style", regions=[(folder / "mask.png", 0, folder / "mask.png")])
    names = [p.name for p in save_regions(request, folder / "a" / "b")]
    assert names == ["mask-1.png", "style-mask-1.png"]
    again = np.asarray(Image.open(folder / "a" / "b" / "mask-1.png"))
    assert np.array_equal(again[..., 0], Image.open(folder / "mask.png"))
    with pytest.raises(InputError, match="is a file: give a folder"):
        save_regions(request, folder / "mask.png")
