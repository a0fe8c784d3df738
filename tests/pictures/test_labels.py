"""Label pictures: as many labels as colors, whatever JPEG did to them."""

import io
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from impasto.core.errors import InputError
from impasto.core.picture import Picture
from impasto.pictures import DiskArray
from impasto.pictures.labels import color_to_hex, hex_to_color, read_label_map
from impasto.pictures.region_masks import match_labels, regions_from_labels

BLUE, GREEN, BLACK, WHITE, RED, GRAY = (
    (0, 0, 255), (0, 255, 0), (0, 0, 0), (255, 255, 255), (255, 0, 0), (128, 128, 128)
)  # fmt: skip


def drawn(*colors, height=120, width=160):
    """A ground of the first color, and a disc or a block of each of the others."""
    image = Image.new("RGB", (width, height), colors[0])
    draw = ImageDraw.Draw(image)
    for i, color in enumerate(colors[1:]):
        x, y = 10 + 48 * (i % 3), 8 + 55 * (i // 3)
        (draw.ellipse if i % 2 else draw.rectangle)((x, y, x + 40, y + 45), fill=color)
    return image


def jpeg(image, quality=75):
    data = io.BytesIO()
    image.save(data, "JPEG", quality=quality)
    return Image.open(data)


def wanted(image, colors):
    pixels = np.asarray(image).astype(int)
    return np.stack([(pixels == c).all(2) for c in colors])


@pytest.mark.parametrize("quality", [60, 75, 90])
def test_jpeg_noise_makes_no_labels_and_moves_few_pixels(quality):
    colors = (BLUE, GREEN, BLACK, WHITE, RED, GRAY)
    image = drawn(*colors)
    found = read_label_map(jpeg(image, quality), "labels")
    assert len(found.colors) == 6
    exact = read_label_map(image, "labels")
    matches = match_labels(found, exact)
    assert len(matches) == 6
    for own, other in matches.items():
        apart = np.asarray(found.mask(own)) != np.asarray(exact.mask(other))
        assert apart.mean() < 0.02


def test_labels_of_a_clean_picture_are_exact_however_near():
    colors = ((1, 1, 1), (2, 2, 2), (3, 2, 2), (200, 10, 10))
    image = drawn(*colors)
    found = read_label_map(image, "labels")
    assert set(found.colors) == set(colors)
    assert found.colors[0] == (1, 1, 1)  # the most frequent
    for color, mask in zip(colors, wanted(image, colors), strict=True):
        assert np.array_equal(found.mask(color), mask)
    assert sum(found.fractions) == pytest.approx(1)
    assert found.notes == ()


def test_few_stray_pixels_count_as_the_nearest_and_are_told():
    pixels = np.asarray(drawn(BLUE, RED)).copy()
    pixels[0, :7] = (250, 30, 30)
    found = read_label_map(pixels, "labels")
    assert len(found.colors) == 2
    assert np.asarray(found.mask(RED))[0, :7].all()
    assert found.notes[0].startswith("In labels, 0.04% of the pixels")


def test_labels_on_disk_are_those_in_memory(monkeypatch):
    from impasto.pictures import disk_array

    monkeypatch.setattr(disk_array, "CHUNK_PIXELS", 1000)
    pixels = np.asarray(drawn(BLUE, GREEN, RED))
    kept = DiskArray(pixels.shape)
    kept[:, :] = pixels.astype(np.float32) / 255
    one, other = read_label_map(Picture(kept), "a"), read_label_map(pixels, "a")
    assert one.colors == other.colors
    assert np.array_equal(one.indices, other.indices)


@given(st.integers(1, 90), st.integers(1, 90))
def test_another_size_takes_the_label_at_the_middle_of_each_pixel(height, width):
    numbers = read_label_map(drawn(BLUE, GREEN, RED, height=60, width=80), "labels")
    found = numbers.resize_to(Picture(np.zeros((height, width, 3), np.float32), name="photo.jpg"))
    rows, columns = (
        [int(Fraction(2 * i + 1, 2 * new) * old) for i in range(new)]
        for new, old in ((height, 60), (width, 80))
    )
    assert np.array_equal(found.indices, numbers.indices[np.ix_(rows, columns)])
    if (height, width) != (60, 80):
        assert found.notes == (
            f"labels has 80 x 60 px and is resampled to the {width} x {height} px of photo.jpg.",
        )


@pytest.mark.parametrize("kind", ["noise", "gradient", "too many"])
def test_a_photograph_is_no_label_picture(kind):
    pixels = {
        "noise": np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8),
        "gradient": np.tile(np.linspace(0, 1, 400)[None, :, None], (60, 1, 3)),
        "too many": np.tile(np.arange(100, dtype=np.uint8)[:, None, None] * 2, (1, 90, 3)),
    }[kind]
    with pytest.raises(InputError, match="photo does not look like a label picture"):
        read_label_map(pixels, "photo")


def test_colors_have_names_that_can_be_read_back():
    assert color_to_hex((0, 128, 255)) == "#0080ff"
    assert hex_to_color("#0080ff") == (0, 128, 255)


# Pairs


def pair(content, *styles):
    made = [read_label_map(drawn(*colors), f"style {i}") for i, colors in enumerate(styles)]
    return regions_from_labels(read_label_map(drawn(*content), "content"), made)


def test_the_same_color_is_the_same_region():
    regions, said = pair((BLUE, GREEN, RED), (GREEN, RED, BLUE))
    assert said == ()
    assert [r.name for r in regions] == [
        color_to_hex(c) for c in (BLUE, GREEN, RED)
    ]  # by their size
    for region in regions:
        assert region.style_index == 0
        assert set(region.sources) == {"content", "style 0"}
        assert np.asarray(region.mask).mean() > 0
        assert np.asarray(region.style_mask).mean() > 0


def test_labels_without_a_partner_are_named_and_take_all_of_the_style():
    regions, said = pair((BLUE, GREEN, RED), (BLUE, WHITE))
    assert [r.style_mask is None for r in regions] == [False, True, True]
    assert said == (
        "The labels #00ff00, #ff0000 of content are not in style 0: they take all of the style.",
        "#ffffff of style 0: not in content, so it is not looked at.",
    )


def test_no_label_in_common_is_told():
    regions, said = pair((BLUE, GREEN), (RED, WHITE))
    assert all(r.style_mask is None for r in regions)
    assert said[0].startswith("No label of content is in style 0: every region takes all")
    assert "#ff0000 of style 0, #ffffff of style 0" in said[1]


def test_of_several_styles_the_first_that_has_a_label_is_its_partner():
    regions, said = pair((BLUE, GREEN, RED), (GREEN, WHITE), (BLUE, GREEN, RED))
    assert {r.name: r.style_index for r in regions} == {
        color_to_hex(BLUE): 1, color_to_hex(GREEN): 0, color_to_hex(RED): 1
    }  # fmt: skip
    assert said == ("#ffffff of style 0: not in content, so it is not looked at.",)


def test_without_style_labels_each_label_takes_a_style():
    regions, said = regions_from_labels(read_label_map(drawn(BLUE, GREEN), "content"), [])
    assert [(r.style_index, r.style_mask) for r in regions] == [(0, None), (1, None)]
    assert said == ()
