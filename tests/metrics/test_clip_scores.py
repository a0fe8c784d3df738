"""What CLIP is asked, on a tiny one."""

import numpy as np
import pytest
import torch
from tiny_clip import write_clip

from impasto.core.picture import Picture
from impasto.metrics import Evaluator
from impasto.metrics.clip_scores import WATCHED_OBJECT_COUNT, StyleObjects
from impasto.metrics.object_names import OBJECTS
from impasto.nets.clip import Clip

CLIPS = ("clip_style", "clip_text", "leak")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(write_clip(tmp_path_factory.mktemp("clip")))


@pytest.fixture(scope="module")
def clip(folder):
    return Clip(folder)


def picture(seed, name="picture", height=40, width=56):
    """Noise, and stripes of other colors, widths and directions for every seed."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = np.sin((x * (seed % 3) + y * (seed % 2 + 0.3)) / (seed + 1))[:, :, None] > 0
    pixels = waves * random.random(3) + ~waves * random.random(3) ** 3
    noisy = 0.9 * pixels + 0.1 * random.random((height, width, 3))
    return Picture(noisy.astype(np.float32), name=name)


def test_the_cosines_are_those_of_the_vectors(clip, folder):
    content, style, result = (picture(seed) for seed in range(3))
    judge = Evaluator(content, [style], metrics=CLIPS, clip=folder, text="a starry night")
    values = judge(result).values
    seen = clip.embed_images([p.pixels for p in (result, style)])
    assert values["clip_style"] == pytest.approx(float(seen[0] @ seen[1]), abs=1e-5)
    text = clip.embed_texts(["a starry night"])[0]
    assert values["clip_text"] == pytest.approx(float(seen[0] @ text), abs=1e-5)


def test_several_styles_count_by_their_shares(folder):
    content, one, two, result = (picture(seed) for seed in range(4))
    alone = [
        Evaluator(content, [s], metrics=CLIPS[::2], clip=folder)(result).values for s in (one, two)
    ]
    judge = Evaluator(content, [one, two], style_weights=(3, 1), metrics=CLIPS[::2], clip=folder)
    for name, found in judge(result).values.items():
        wanted = 0.75 * alone[0][name] + 0.25 * alone[1][name]
        assert found == pytest.approx(wanted, abs=1e-5)


def test_without_a_text_there_is_no_figure_for_it(folder):
    judge = Evaluator(picture(0), [picture(1)], clip=folder)
    assert "clip_text" not in judge(picture(2)).values
    assert "clip_text" not in judge.missing


def test_nothing_leaked_into_the_content_itself_and_all_into_the_style(folder):
    content, style = picture(1), picture(0)
    judge = Evaluator(content, [style], metrics=["leak"], clip=folder)
    scores = judge(content)
    assert scores.values["leak"] == pytest.approx(0, abs=1e-4)
    assert judge(style).values["leak"] == pytest.approx(1, abs=1e-4)
    (note,) = (n for n in scores.notes if n.startswith("leak: "))
    assert sum(word in note for word in OBJECTS) >= WATCHED_OBJECT_COUNT


def test_if_the_style_shows_the_same_there_is_nothing_to_leak(folder):
    scores = Evaluator(picture(0), [picture(0)], metrics=["leak"], clip=folder)(picture(2))
    assert scores.values == {}
    assert any("shows nothing that the content does not" in note for note in scores.notes)


def axes(**amounts):
    """A picture of so much of the things with these numbers, each word an axis of its own."""
    vector = torch.zeros(60)
    for name, amount in amounts.items():
        vector[int(name[1:])] = amount
    return vector


def test_watched_are_the_things_that_the_style_shows_and_the_content_does_not():
    style = torch.cat([torch.full((20,), 0.3), torch.zeros(40)])
    content = style.clone()
    content[[3, 8, 11]] = 0  # three of the twenty
    content[40] = 0.5
    found = StyleObjects(torch.eye(60), content, style)
    assert sorted(found.object_indices.tolist()) == [3, 8, 11]
    assert 40 not in found.neutral_indices.tolist()
    assert set(found.names) == {OBJECTS[k] for k in (3, 8, 11)}


def test_the_leak_is_the_share_of_the_styles_things():
    base = torch.cat([torch.linspace(0.3, 0.2, 20), torch.zeros(40)])
    content, style = base.clone(), base + axes(k1=0.2, k4=0.2, k6=0.2)
    found = StyleObjects(torch.eye(60), content, style)
    assert found.leak(content + axes(k1=0.1, k4=0.1, k6=0.1)) == pytest.approx(0.5)
    assert found.leak(content + axes(k1=0.2)) == pytest.approx(1 / 3)
    assert found.leak(content + 0.3) == pytest.approx(0, abs=1e-6)  # nearer to every word alike


def test_the_words_are_different_things_and_many():
    assert len(set(OBJECTS)) == len(OBJECTS) > 150
    assert all(word == word.strip().lower() and word for word in OBJECTS)


def test_a_clip_that_cannot_be_used_leaves_the_rest(tmp_path):
    judge = Evaluator(picture(0), [picture(1)], metrics=["ssim", "leak"], clip=str(tmp_path))
    assert list(judge(picture(2)).values) == ["ssim"]
    assert "no config.json" in judge.missing["leak"]
