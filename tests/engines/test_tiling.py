"""Tiles: every pixel once, windows on one grid, and no seam."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import picture, pixels

from impasto.engines.feedforward.base import DeviceSpec
from impasto.engines.feedforward.tiling import _read_window, run_tiled, tiles
from impasto.methods import adain, fast, wct
from impasto.ops.convert import as_pixels, as_tensor
from impasto.ops.padding import PADDING_PX, pad
from impasto.pictures import DiskArray

PLACE = DeviceSpec("cpu", "fp32")
sides = st.integers(1, 5000)
aligns = st.sampled_from([4, 8, 16])


@given(sides, sides, aligns, st.integers(2, 16), st.integers(2, 100))
def test_cores_cover_every_pixel_once(height, width, align, halos, cores):
    halo, core = 16 * halos, 16 * cores
    found = list(tiles(height, width, align=align, halo=halo, tile_side=core))
    rows = sorted({(t.core[0], t.core[2]) for t in found})
    columns = sorted({(t.core[1], t.core[3]) for t in found})
    for spans, length in ((rows, height), (columns, width)):
        assert (spans[0][0], spans[-1][1]) == (0, length)
        assert all(a[1] == b[0] for a, b in pairwise(spans))
        assert all(start < stop <= start + 1.5 * core + align for start, stop in spans)
    assert len(found) == len(rows) * len(columns) == len({t.core for t in found})


@given(sides, sides, aligns, st.integers(2, 16), st.integers(2, 100))
def test_windows_lie_on_the_grid_of_the_whole_frame(height, width, align, halos, cores):
    halo = 16 * halos
    frame = (
        height + PADDING_PX + -(height + 2 * PADDING_PX) % align,
        width + PADDING_PX + -(width + 2 * PADDING_PX) % align,
    )
    for tile in tiles(height, width, align=align, halo=halo, tile_side=16 * cores):
        for side in (0, 1):
            start, stop = tile.window[side], tile.window[side + 2]
            assert start % align == stop % align == 0
            assert start == max(tile.core[side] - halo, -PADDING_PX)
            assert min(tile.core[side + 2] + halo, frame[side]) <= stop <= frame[side]
        rows, columns = tile.core_in_window
        assert (rows.stop - rows.start, columns.stop - columns.start) == (
            tile.core[2] - tile.core[0],
            tile.core[3] - tile.core[1],
        )


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (19, 90), (33, 65), (90, 20), (200, 31)])
@pytest.mark.parametrize("align", [4, 8, 16])
def test_what_is_read_is_a_part_of_the_framed_picture(size, align):
    source = pixels(*size)
    whole = pad(as_tensor(source), align)

    class Reader:
        halo, files = 32, {}

        def statistics(self, frame):
            return "known"

        def __call__(self, frame, statistics=None):
            y, x, bottom, right = next(windows)
            rows, columns = (
                slice(y + PADDING_PX, bottom + PADDING_PX),
                slice(x + PADDING_PX, right + PADDING_PX),
            )
            assert torch.equal(frame, whole[:, :, rows, columns])
            return frame

    Reader.align = align
    windows = (t.window for t in tiles(*size, align=align, halo=32, tile_side=32))
    target = np.zeros_like(source)
    run_tiled(source, source, target, Reader(), PLACE, lambda *_: None, tile_side=32)
    assert np.array_equal(target, source)


def test_a_window_shares_the_frame_of_the_whole_picture():
    source = pixels(PADDING_PX + 24, PADDING_PX + 24)
    inner = _read_window(source, (-PADDING_PX, 8, PADDING_PX + 8, 32), reflect=True)
    whole = pad(as_tensor(source), 8)
    assert torch.equal(inner, whole[:, :, : 2 * PADDING_PX + 8, PADDING_PX + 8 : PADDING_PX + 32])


def painters(models):
    with torch.inference_mode():
        style = as_tensor(pixels(90, 70, 1))
        a = adain.AdaINModel(models["adain"], PLACE)
        a.set_styles([style], (1.0,))
        w = wct.WCTModel(models["wct"], PLACE, dict.fromkeys(wct.LEVEL_LAYERS, 0.6))
        w.set_styles([style], (1.0,))
        f = fast.FastModel(models["fast"], PLACE)
        f.set_styles(["blue-dots"], [1.0])
    return {"adain": a, "wct": w, "fast": f}


class Known:
    """A painter that always has the same statistics."""

    def __init__(self, painter, thumbnail):
        self.painter, self.align, self.halo = painter, painter.align, painter.halo
        self.known = painter.statistics(pad(as_tensor(thumbnail), self.align))

    def statistics(self, frame):
        return self.known

    def __call__(self, frame, statistics=None):
        return self.painter(frame, self.known)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("adain", (40, 700)),
        ("adain", (260, 270)),
        ("fast", (701, 37)),
        ("fast", (260, 270)),
        ("wct", (33, 510)),
    ],
)
@torch.inference_mode()
def test_with_the_same_statistics_no_seam_is_to_be_seen(models, name, size):
    source = pixels(*size)
    painter = Known(painters(models)[name], pixels(48, 64, 3))
    whole, tiled, count = np.zeros_like(source), np.zeros_like(source), []
    run_tiled(source, source, whole, painter, PLACE, lambda *_: None, tile_side=10**6)
    run_tiled(
        source, source, tiled, painter, PLACE, lambda tile, of: count.append(of), tile_side=128
    )
    assert len(count) == count[0] > 3
    assert np.ptp(whole) > 0.1
    assert np.abs(whole - tiled).max() <= 1 / 255


@torch.inference_mode()
def test_what_lies_on_disk_is_painted_as_what_lies_in_memory(models):
    painter = painters(models)["adain"]
    source = np.rint(pixels(150, 220) * 255).astype(np.float32) / 255
    spool, result = DiskArray(source.shape), DiskArray(source.shape)
    spool[:, :] = source
    expected = np.zeros_like(source)
    for what, target in ((source, expected), (spool, result)):
        run_tiled(what, source, target, painter, PLACE, lambda *_: None, tile_side=64)
    assert np.abs(np.asarray(result) - expected).max() <= 1 / 255


def test_true_stops_the_painting():
    class Negative:
        align, halo, files = 16, 32, {}

        def statistics(self, frame):
            return None

        def __call__(self, frame, statistics=None):
            return 1 - frame

    source = pixels(64, 200)
    target = source.copy()
    run_tiled(source, source, target, Negative(), PLACE, lambda tile, of: tile == 2, tile_side=64)
    cores = [t.core for t in tiles(64, 200, align=16, halo=32, tile_side=64)]
    assert len(cores) == 3
    edge = cores[1][3]
    np.testing.assert_allclose(target[:, :edge], 1 - source[:, :edge], atol=1e-6)
    assert np.array_equal(target[:, edge:], source[:, edge:])


def test_pixels_and_tensors_are_one_another():
    one = picture(5, 7).pixels
    assert as_tensor(one).shape == (1, 3, 5, 7)
    assert np.array_equal(as_pixels(as_tensor(one)), one)
    assert as_pixels(as_tensor(one) * 9 - 3).min() == 0
