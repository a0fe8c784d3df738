"""The judge: its figures against numpy, and what must hold for any pictures."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.metrics import structural_similarity

from impasto.core.errors import InputError, KnobError, WeightsError
from impasto.core.picture import Picture
from impasto.losses.sliced_wasserstein import sliced_wasserstein
from impasto.metrics import METRICS, Evaluator
from impasto.metrics.groups import (
    DIRECTION_COUNT,
    SQUEEZENET_CONTENT_LAYERS,
    SQUEEZENET_STYLE_LAYERS,
    VGG_STYLE_LAYERS,
)
from impasto.nets.squeezenet import SqueezeNet
from impasto.nets.vgg import VGG
from impasto.ops.convert import as_tensor
from impasto.pictures import fit_long_side, read, resize
from impasto.weights import store

PLAIN = ("ssim", "edges", "content_error", "gram", "swd", "style_error", "noise")
"""What a plain install can measure."""
STYLE = ("gram", "swd", "style_error")

pytestmark = pytest.mark.usefixtures("quick")


def scene(height=64, width=80, seed=0, cells=6):
    """A picture with edges, slopes and a little noise."""
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (cells, cells + 2, 3), dtype=np.uint8)
    big = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    noisy = np.asarray(big, np.float32) / 255 + 0.02 * random.standard_normal((height, width, 3))
    return noisy.clip(0, 1).astype(np.float32)


def picture(*args, name="picture", **more):
    return Picture(scene(*args, **more), name=name)


@pytest.fixture(scope="module")
def content():
    return picture(name="content")


@pytest.fixture(scope="module")
def style():
    return picture(seed=1, cells=20, name="style")


@pytest.fixture
def judge(content, style):
    return Evaluator(content, [style], metrics=PLAIN)


def gram_in_numpy(features):
    flat = features[0].double().numpy().reshape(features.shape[1], -1)
    return flat @ flat.T / flat.shape[1]


def test_the_gram_error_is_the_papers_in_numpy(judge, content, style):
    encoder, result = VGG(store.load_encoder("oxford")), scene(seed=2)
    grams = []
    for pixels in (result, content.pixels, style.pixels):
        features = encoder(as_tensor(pixels), VGG_STYLE_LAYERS)
        grams.append([gram_in_numpy(features[layer]) for layer in VGG_STYLE_LAYERS])
    found, unstyled = (
        [((g - a) ** 2).sum() / (a**2).sum() for g, a in zip(of, grams[2], strict=True)]
        for of in grams[:2]
    )
    scores = judge(result)
    assert scores.values["gram"] == pytest.approx(
        math.sqrt(np.mean(found) / np.mean(unstyled)), rel=1e-4
    )
    for k, layer in enumerate(VGG_STYLE_LAYERS):
        assert scores.layers["gram"][layer] == pytest.approx(
            math.sqrt(found[k] / unstyled[k]), rel=1e-3
        )


def test_the_sliced_distance_is_that_of_the_exact_clouds(judge, content, style):
    encoder, result = VGG(store.load_encoder("oxford")), scene(seed=2)
    seen = [
        encoder(as_tensor(pixels), VGG_STYLE_LAYERS)
        for pixels in (result, content.pixels, style.pixels)
    ]
    sums = []
    for features in seen[:2]:
        terms = []
        for layer in VGG_STYLE_LAYERS:
            target = seen[2][layer]
            nothing = torch.zeros_like(target)
            apart = sliced_wasserstein(features[layer], target, DIRECTION_COUNT)
            terms.append(float(apart / sliced_wasserstein(nothing, target, DIRECTION_COUNT)))
        sums.append(sum(terms))
    assert judge(result).values["swd"] == pytest.approx(math.sqrt(sums[0] / sums[1]), rel=0.03)


def test_ssim_is_scikit_images(judge, content):
    result = scene(seed=2)
    luminances = [p @ np.array([0.2126, 0.7152, 0.0722]) for p in (content.pixels, result)]
    wanted = structural_similarity(
        *luminances, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert judge(result).values["ssim"] == pytest.approx(wanted, abs=1e-5)


def test_the_style_error_is_the_gram_error_on_squeezenet(judge, content, style):
    network, result = SqueezeNet(store.load_metric_network("squeezenet")), scene(seed=2)
    grams = [
        [gram_in_numpy(network(as_tensor(p), [layer])[layer]) for layer in SQUEEZENET_STYLE_LAYERS]
        for p in (result, content.pixels, style.pixels)
    ]
    found, unstyled = (
        np.mean([((g - a) ** 2).sum() / (a**2).sum() for g, a in zip(of, grams[2], strict=True)])
        for of in grams[:2]
    )
    assert judge(result).values["style_error"] == pytest.approx(
        math.sqrt(found / unstyled), rel=1e-4
    )


def test_the_content_error_is_the_distance_of_unit_vectors_in_numpy(judge, content, style):
    network, result = SqueezeNet(store.load_metric_network("squeezenet")), scene(seed=2)

    def vectors(pixels, layer):
        features = network(as_tensor(pixels), [layer])[layer][0].double().numpy()
        return features / np.linalg.norm(features, axis=0)

    apart = [
        np.mean(
            [
                2 - 2 * (vectors(pixels, layer) * vectors(content.pixels, layer)).sum(0).mean()
                for layer in SQUEEZENET_CONTENT_LAYERS
            ]
        )
        for pixels in (result, style.pixels)
    ]
    found = judge(result).values["content_error"]
    assert found == pytest.approx(apart[0] / apart[1], rel=1e-4)


def test_the_content_itself_is_wholly_kept_and_not_styled(judge, content):
    values = judge(content).values
    assert values["ssim"] == pytest.approx(1)
    assert values["edges"] == pytest.approx(1)
    assert values["content_error"] == 0
    assert [values[name] for name in STYLE] == pytest.approx([1, 1, 1])


def test_the_style_itself_is_all_style_and_no_content(judge, style):
    values = judge(style).values
    assert values["content_error"] == pytest.approx(1)
    assert [values[name] for name in STYLE] == pytest.approx([0, 0, 0], abs=1e-6)


def test_from_content_to_style_all_figures_go_their_way(judge, content, style):
    blends = [content.pixels * (1 - a) + style.pixels * a for a in (0, 0.3, 0.6, 1)]
    scores = [judge(blend).values for blend in blends]
    for name in (*STYLE, "ssim", "edges"):
        column = [each[name] for each in scores]
        assert column == sorted(column, reverse=True)
    kept = [each["content_error"] for each in scores]
    assert kept == sorted(kept)


def test_every_metric_says_what_it_is_and_the_judge_gives_no_other(judge):
    assert set(PLAIN) == set(judge(scene(seed=2)).values)
    assert set(PLAIN) | {"lpips", "clip_style", "clip_text", "leak"} == set(METRICS)
    for name, metric in METRICS.items():
        assert name == metric.name
        assert all(dataclasses.asdict(metric)[field] for field in ("title", "usual", "source"))
        assert metric.arrow == {"higher": "↑", "lower": "↓"}[metric.better]


def test_the_same_pictures_have_the_same_scores(judge, content, style):
    result = scene(seed=2)
    assert judge(result) == judge(result) == Evaluator(content, [style], metrics=PLAIN)(result)


def test_content_and_style_are_looked_at_once(judge, monkeypatch):
    passes = []
    real = VGG.forward

    def counted(self, x, layers):
        passes.append(tuple(x.shape))
        return real(self, x, layers)

    monkeypatch.setattr(VGG, "forward", counted)
    for seed in (2, 3, 4):
        judge(scene(seed=seed))
    assert len(passes) == 2 + 3


def test_only_what_is_asked_for_is_loaded(content, style, monkeypatch):
    monkeypatch.setattr(store, "load_encoder", None)
    judge = Evaluator(content, [style], metrics=["style_error", "ssim"])
    assert list(judge(content).values) == ["ssim", "style_error"]


def test_a_judge_of_other_pictures_shares_the_networks(judge, content, style, monkeypatch):
    result = scene(seed=2)
    turned = Evaluator(style, [content], metrics=PLAIN)(result)
    before = judge(result)
    monkeypatch.setattr(store, "load_encoder", None)
    monkeypatch.setattr(store, "load_metric_network", None)
    assert judge.with_inputs(style, [content])(result) == turned
    assert judge(result) == before


# ------------------------------------------------------------------------------- several styles


def test_a_style_with_no_share_does_not_count(content, style):
    result, other = scene(seed=2), picture(seed=5, name="other")
    both = Evaluator(content, [style, other], style_weights=(2, 0), metrics=PLAIN)(result)
    alone = Evaluator(content, [style], metrics=PLAIN)(result)
    assert both.values == pytest.approx(alone.values, rel=1e-5)


def test_of_several_styles_the_gram_matrices_are_averaged(content, style):
    other, encoder = picture(seed=5, name="other"), VGG(store.load_encoder("oxford"))
    grams = [
        gram_in_numpy(encoder(as_tensor(p.pixels), ["conv3_1"])["conv3_1"])
        for p in (content, style, other)
    ]
    target = 0.25 * grams[1] + 0.75 * grams[2]
    result = gram_in_numpy(encoder(as_tensor(scene(seed=2)), ["conv3_1"])["conv3_1"])
    wanted = np.linalg.norm(result - target) / np.linalg.norm(grams[0] - target)
    judge = Evaluator(content, [style, other], style_weights=(1, 3), metrics=["gram"])
    found = judge(scene(seed=2)).layers["gram"]["conv3_1"]
    assert found == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize("weights", [(1,), (0, 0), (1, -1), (1, math.inf)])
def test_style_weights_that_do_not_fit_are_refused(content, style, weights):
    with pytest.raises(KnobError, match="style weights"):
        Evaluator(content, [style, style], style_weights=weights, metrics=["ssim"])


# -------------------------------------------------------------------------------- the protocol


@given(width=st.integers(32, 90), long=st.integers(32, 90))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
def test_the_content_at_any_size_has_the_contents_shape(width, long):
    whole = picture(64, width)
    height, width = fit_long_side(64, width, long)
    if min(height, width) >= 32:
        judge = Evaluator(whole, [whole], metrics=["ssim"])
        result = resize(whole.pixels, height, width)
        assert judge(result).values["ssim"] == pytest.approx(1, abs=1e-6)


def test_a_larger_result_is_measured_as_if_it_were_smaller(content, style):
    small = Evaluator(content, [style], metrics=PLAIN, size=40)
    result = scene(seed=2)
    reduced = resize(result, 32, 40)
    assert small(result).values == small(reduced).values
    assert Evaluator(content, [style], metrics=PLAIN)(result).values != small(result).values


def test_another_shape_is_refused_with_both_sizes(judge):
    with pytest.raises(InputError, match=r"is 64 x 80, but the content content is 80 x 64"):
        judge(scene(80, 64))


def test_another_size_is_noted(judge):
    assert any("content is 80 x 64" in note for note in judge(scene(32, 40)).notes)


def test_too_small_a_result_or_style_is_refused(judge, content):
    with pytest.raises(InputError, match=r"at 30 x 24 pixels, which is too small"):
        judge(scene(24, 30))
    with pytest.raises(InputError, match=r"The style strip is measured at 80 x 3 pixels"):
        Evaluator(content, [picture(8, 200, name="strip")], metrics=["ssim"])(content)


def test_a_style_of_fewer_pixels_is_not_enlarged_but_noted(content):
    notes = Evaluator(content, [picture(40, 50, name="stamp")], metrics=["ssim"])(content).notes
    assert any("The style stamp has only 50 x 40 pixels" in note for note in notes)


def test_sixteen_bits_are_measured_as_they_are(judge, tmp_path):
    import tifffile

    deep = (scene(seed=2).astype(np.float64) * 65535).round().astype(np.uint16)
    tifffile.imwrite(tmp_path / "deep.tif", deep, photometric="rgb")
    result = read(tmp_path / "deep.tif")
    assert result.bits == 16
    assert judge(result).values == pytest.approx(judge(scene(seed=2)).values, rel=1e-3)


def test_what_is_transparent_is_laid_on_white_and_noted(judge):
    pixels, alpha = scene(seed=2), np.ones((64, 80), np.float32)
    alpha[:20] = 0
    white = pixels.copy()
    white[:20] = 1
    hidden = judge(Picture(pixels, alpha, name="cut out"))
    assert hidden.values == judge(white).values
    assert "cut out: transparent parts were laid on white." in hidden.notes


# --------------------------------------------------------------------- what has no figure to it


def test_identical_pictures_are_noted(judge, content, style):
    assert any("is the content itself" in note for note in judge(content).notes)
    assert any("is the style style itself" in note for note in judge(style).notes)


def test_if_content_and_style_are_the_same_nothing_is_relative_to_nothing(content):
    scores = Evaluator(content, [content], metrics=PLAIN)(scene(seed=2))
    assert list(scores.values) == ["ssim", "edges", "noise"]
    for name in (*STYLE, "content_error"):
        assert any(note.startswith(f"{name}: content and style hardly") for note in scores.notes)
    assert any("are the same picture" in note for note in scores.notes)


@given(colors=st.lists(st.sampled_from([0.0, 0.2, 0.5, 1.0]), min_size=3, max_size=3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=5)
def test_pictures_of_one_color_give_finite_figures_or_none(colors):
    flat = [Picture(np.full((32, 40, 3), c, np.float32), name=f"flat {c}") for c in colors]
    scores = Evaluator(flat[0], flat[1:2], metrics=PLAIN)(flat[2])
    assert all(math.isfinite(value) for value in scores.values.values())
    assert all(math.isfinite(v) for layers in scores.layers.values() for v in layers.values())


def test_weights_that_are_not_here_are_told_and_the_rest_goes_on(content, style, monkeypatch):
    real = store.load_metric_network

    def without_lpips(name):
        if name == "lpips":
            raise WeightsError("The weights lpips are elsewhere. Run: get lpips")
        return real(name)

    monkeypatch.setattr(store, "load_metric_network", without_lpips)
    monkeypatch.setenv("IMPASTO_CLIP", "nobody has/this")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    judge = Evaluator(content, [style], metrics=["ssim", "lpips", "style_error"])
    assert judge.missing == {"lpips": "The weights lpips are elsewhere. Run: get lpips"}
    assert list(judge(content).values) == ["ssim", "style_error"]
    with pytest.raises(WeightsError, match="Run: get lpips"):
        Evaluator(content, [style], metrics=["lpips"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"metrics": ["sim"]}, r"no metric 'sim': did you mean ssim"),
        ({"metrics": ["zzzz"]}, r"there is ssim, edges"),
        ({"metrics": ["clip_text"]}, "give one with --text"),
        ({"size": 31}, "32 to 2048 pixels"),
        ({"size": 5000}, "32 to 2048 pixels"),
    ],
)
def test_settings_that_do_not_fit_are_refused(content, style, settings, message):
    with pytest.raises(KnobError, match=message):
        Evaluator(content, [style], **settings)


def test_without_a_style_there_is_nothing_to_judge(content):
    with pytest.raises(InputError, match="No style picture"):
        Evaluator(content, [])
