"""Keeping colors through the whole way: every method, depth, rests, recipes and resuming."""

import numpy as np
import pytest
from PIL import Image

import impasto
from impasto.core.errors import InputError, KnobError
from impasto.ops.color import rgb_to_oklab
from impasto.pictures import DiskArray, read, write
from impasto.pipeline import color_preservation, make_plan, make_request
from impasto.pipeline.stylize import run_identity

KEEPS = ("luminance", "yuv", "histogram", "covariance")


@pytest.fixture
def folder(tmp_path):
    """A content, a style and a mask of its right half, 40 x 32 px, as files."""
    random = np.random.default_rng(0)
    for name in ("content", "style"):
        coarse = Image.fromarray(random.integers(0, 256, (4, 5, 3), dtype=np.uint8))
        coarse.resize((40, 32), Image.Resampling.BICUBIC).save(tmp_path / f"{name}.png")
    half = np.zeros((32, 40), np.uint8)
    half[:, 20:] = 255
    Image.fromarray(half).save(tmp_path / "mask.png")
    return tmp_path


@pytest.fixture
def paint(folder, models):
    def call(content=None, method="adain", styles=None, **more):
        knobs = {"steps": 2, "style_layers": ("conv1_1",), "content_layers": ("conv2_1",)}
        return impasto.stylize(
            content or folder / "content.png",
            styles or ([] if "regions" in more else folder / "style.png"),
            method=method,
            device="cpu",
            precision="fp32",
            **(knobs if method == "gatys" else {"weights": models[method]}),
            **more,
        )

    return call


def chroma(pixels):
    return np.asarray(rgb_to_oklab(np.asarray(pixels)))[..., 1:]


def colors_of(pixels):
    flat = np.asarray(pixels, np.float64).reshape(-1, 3)
    return flat.mean(0), np.cov(flat.T)


@pytest.mark.parametrize("method", ["gatys", "adain", "wct", "photowct"])
def test_every_method_keeps_the_luminance_and_takes_the_contents_hue(paint, folder, method):
    plain, kept = paint(method=method), paint(method=method, keep_color="luminance")
    assert np.allclose(
        rgb_to_oklab(kept.pixels)[..., 0], rgb_to_oklab(plain.pixels)[..., 0], atol=2e-2
    )
    apart = [np.abs(chroma(r.pixels) - chroma(read(folder / "content.png").pixels)).mean()
             for r in (plain, kept)]  # fmt: skip
    assert apart[1] < apart[0] / 2


def test_a_learnt_style_is_recolored_afterwards_only(paint, folder):
    result = paint(method="fast", styles="red-lines", keep_color="covariance")
    mean, _ = colors_of(read(folder / "content.png").pixels)
    assert np.allclose(colors_of(result.pixels)[0], mean, atol=0.03)
    with pytest.raises(KnobError, match="--color-stage after"):
        paint(method="fast", styles="red-lines", keep_color="covariance", color_stage="before")


@pytest.mark.parametrize("keep", KEEPS)
def test_with_strength_0_the_content_comes_back(paint, folder, keep):
    plain = paint(method="photowct", strength=0.0)
    content = read(folder / "content.png").pixels
    kept = paint(method="photowct", strength=0.0, keep_color=keep)
    before = np.abs(plain.pixels - content).max()
    assert np.abs(kept.pixels - content).max() <= before + 1e-3


@pytest.mark.parametrize("keep", KEEPS)
def test_the_content_as_its_own_painting_stays_as_it_is(folder, keep):
    request = make_request(
        folder / "content.png", folder / "style.png", method="gatys", keep_color=keep
    )
    content = request.content.pixels
    assert np.allclose(color_preservation.postprocess(content, request), content, atol=1e-4)


def test_the_share_0_changes_no_bit(paint):
    plain, kept = paint(), paint(keep_color="histogram", color_strength=0.0)
    assert (kept.pixels == plain.pixels).all()


def test_before_the_styles_have_the_contents_mean_and_covariance(folder):
    request = make_request(
        folder / "content.png", folder / "style.png", keep_color="covariance", color_stage="before"
    )
    (style,) = color_preservation.preprocess(request).styles
    for found, wanted in zip(
        colors_of(style.pixels), colors_of(request.content.pixels), strict=True
    ):
        assert np.allclose(found, wanted, atol=0.015)  # what was clipped is lost
    assert color_preservation.postprocess(style.pixels, request) is style.pixels


def test_outside_of_the_mask_no_bit_changes(paint, folder):
    plain = paint()
    kept = paint(keep_color="luminance", color_mask=folder / "mask.png")
    assert (kept.pixels[:, :20] == plain.pixels[:, :20]).all()
    assert (kept.pixels[:, 20:] == paint(keep_color="luminance").pixels[:, 20:]).all()


@pytest.mark.parametrize("keep", KEEPS)
def test_a_rest_that_is_kept_is_kept_to_the_bit(paint, folder, keep):
    regions = [(folder / "mask.png", folder / "style.png")]
    more = {"regions": regions, "background": "keep", "feather": 6}
    plain, kept = paint(**more), paint(**more, keep_color=keep)
    content = read(folder / "content.png").pixels
    assert (kept.pixels[:, :20] == content[:, :20]).all()
    assert (kept.pixels[:, 20:] != plain.pixels[:, 20:]).any()


def test_with_a_kept_rest_only_what_is_painted_counts_for_the_colors(paint, folder):
    regions = [(folder / "mask.png", folder / "style.png")]
    found = paint(regions=regions, background="keep", keep_color="covariance").pixels[:, 20:]
    mean, _ = colors_of(read(folder / "content.png").pixels[:, 20:])
    assert np.allclose(colors_of(found)[0], mean, atol=0.02)


def test_a_mask_of_what_is_not_painted_leaves_the_painting(paint, folder):
    half = np.zeros((32, 40), np.float32)
    half[:, :20] = 1
    more = {"regions": [(folder / "mask.png", folder / "style.png")], "background": "keep"}
    kept = paint(**more, keep_color="histogram", color_mask=half)
    assert (kept.pixels == paint(**more).pixels).all()


def test_sixteen_bits_and_transparency_are_kept(paint, tmp_path):
    random = np.random.default_rng(1)
    alpha = np.linspace(0, 1, 40, dtype=np.float32)[None].repeat(32, 0)
    deep = tmp_path / "deep.png"
    write(random.random((32, 40, 3)).astype(np.float32), deep, alpha=alpha, bits=16)
    result = paint(deep, keep_color="luminance")
    result.save(tmp_path / "out.png")
    found = read(tmp_path / "out.png")
    assert found.bits == 16
    assert (np.asarray(found.alpha) == np.asarray(read(deep).alpha)).all()
    assert len(np.unique(np.asarray(found.pixels))) > 1000


def test_a_painting_on_disk_is_recolored_there(folder):
    request = make_request(folder / "content.png", folder / "style.png", keep_color="luminance")
    painted = np.random.default_rng(2).random((32, 40, 3)).astype(np.float32)
    spool = DiskArray(painted.shape, 16)
    spool[:, :] = painted
    assert color_preservation.postprocess(spool, request) is spool
    assert np.allclose(
        np.asarray(spool), color_preservation.postprocess(painted, request), atol=1e-3
    )


WAYS = [
    {"keep_color": "histogram", "color_strength": 0.7},
    {"keep_color": "covariance", "color_stage": "before"},
    {"keep_color": "luminance", "color_mask": "mask.png"},
]


@pytest.mark.parametrize("way", WAYS)
def test_the_recipe_makes_the_same_pixels_again(paint, folder, way, monkeypatch):
    monkeypatch.chdir(folder)
    result = paint(**way)
    assert way.items() <= result.recipe.options.items()
    result.save("out.png")
    assert (impasto.rerun("out.png").pixels == result.pixels).all()


def test_another_mask_in_its_place_is_refused_by_rerun(paint, folder, monkeypatch):
    monkeypatch.chdir(folder)
    paint(**WAYS[2]).save("out.png")
    Image.new("L", (40, 32), 255).save("mask.png")
    with pytest.raises(InputError, match=r"color mask picture mask\.png"):
        impasto.rerun("out.png")


def test_it_decides_whether_two_runs_are_the_same(folder):
    ways = [{}, *WAYS[:2], {"keep_color": "luminance", "color_mask": folder / "mask.png"}]
    told = []
    for way in ways:
        request = make_request(
            folder / "content.png", folder / "style.png", device="cpu", precision="fp32", **way
        )
        told.append(str(run_identity(request, make_plan(request))))
    assert len(set(told)) == len(ways)


def test_the_plan_says_so(folder):
    request = make_request(
        folder / "content.png", folder / "style.png", keep_color="yuv", color_strength=0.5,
        color_mask=folder / "mask.png", device="cpu", precision="fp32",
    )  # fmt: skip
    (note,) = [n for n in make_plan(request).notes if "colors are kept" in n]
    assert "yuv" in note
    assert "to 50%, in 50% of it" in note


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"keep_color": "hue"}, "must be one of none, luminance"),
        ({"color_strength": 0.5}, "no colors to keep"),
        ({"color_stage": "before"}, "no colors to keep"),
        ({"keep_color": "yuv", "color_strength": "much"}, "must be 0 to 1"),
        ({"keep_color": "yuv", "color_stage": "before"}, "--color-stage after"),
        ({"keep_color": "yuv", "color_mask": np.zeros((9, 9))}, "black everywhere"),
        ({"keep_color": "yuv", "color_mask": "nowhere.png"}, "no such file"),
    ],
)
def test_what_cannot_be_is_refused(folder, how, says):
    with pytest.raises((KnobError, InputError), match=says):
        make_request(folder / "content.png", folder / "style.png", **how)
