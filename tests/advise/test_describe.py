import sys

import numpy as np
import pytest

import impasto
from impasto.advise.describe import describe as module
from impasto.advise.describe.describe import Describer, describe
from impasto.core.errors import (
    InputError,
    KnobError,
    LanguageModelError,
    MissingExtraError,
    WeightsError,
)

BLUE = np.full((64, 64, 3), (0.14, 0.34, 0.66), np.float32)

SAID = {
    "medium": ["oil on canvas"],
    "movement": ["Post-Impressionism"],
    "technique": ["swirling brushstrokes", "Van Gogh-like impasto"],
    "palette": ["cobalt and ochre"],
    "mood": ["turbulent"],
    "texture": ["thick impasto"],
    "light": ["a starry night"],
}


@pytest.fixture
def no_clip(unset):
    """No CLIP at hand, and no network to get one."""
    from huggingface_hub import constants

    unset.delenv("IMPASTO_CLIP", raising=False)
    unset.setattr(constants, "HF_HUB_CACHE", "none")
    unset.setattr(constants, "HF_HUB_OFFLINE", True)


@pytest.fixture
def asked(no_clip, server):
    return {"model": "llava:7b", "model_url": server.url}


class StandIn:
    """A CLIP that sees cubism in everything."""

    made = 0

    def __init__(self, name="", *, fetch=True):
        type(self).made += 1

    def embed_texts(self, texts):
        return np.eye(2)[[int("Cubism" in text) for text in texts]]

    def embed_images(self, images):
        return np.eye(2)[[1]]


@pytest.fixture
def cubist(unset):
    from impasto.nets import clip

    StandIn.made = 0
    unset.setattr(clip, "Clip", StandIn)
    return StandIn


def test_measured_where_there_is_nothing_else(no_clip):
    found = impasto.describe(BLUE)
    assert found.backend == "measured"
    assert found.provenance == "measured from the pixels"
    assert "cobalt" in found.words
    assert found.phrase == ", ".join(found.words)
    assert found.measurements["warm_fraction"] == 0
    model, clip = found.notes
    assert "No vision-language model is configured" in model
    assert "CLIP" in clip
    assert "--clip" in clip


def test_without_the_extra_its_install_line_is_in_the_notes(no_clip, monkeypatch):
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "transformers" else real(name)
    )
    found = describe(BLUE)
    assert 'pip install "impasto[clip]"' in found.notes[1]
    with pytest.raises(MissingExtraError):
        describe(BLUE, backend="clip")


def test_the_models_words(asked, server):
    server.says = [SAID, {"things": []}]
    found = describe(BLUE, **asked)
    assert found.backend == "model"
    assert found.words == (
        "oil on canvas",
        "Post-Impressionism",
        "swirling brushstrokes",
        "cobalt and ochre",
        "thick impasto",
        "turbulent",
    )  # neither the starry night nor the painter
    assert found.provenance.startswith("said by llava:7b at 127.0.0.1:")
    assert found.notes == ("2 of its 8 phrases were dropped: no style words.",)
    assert found.measurements["colors"][0]["name"] == "cobalt"


def test_what_the_model_is_sent(asked, server):
    server.says = [SAID, {"things": []}]
    describe(np.zeros((1000, 2000, 3), np.float32), **asked)
    (picture,) = server.pictures(0)
    assert picture.size == (768, 384)
    first, second = map(str, server.asked)
    assert "never what it shows" in first
    assert "Measured from its pixels: large flat areas, black" in first
    assert server.pictures(1) == []
    assert "swirling brushstrokes" in second
    assert "starry" not in second


def test_the_models_second_look_drops_what_the_list_does_not_know(asked, server):
    server.says = [
        {"technique": ["zeppelin shapes", "bold lines"]},
        {"things": ["Zeppelin shapes"]},
    ]
    assert describe(BLUE, **asked).words == ("bold lines",)


def test_a_second_look_that_fails_is_said(asked, server):
    server.says = [{"technique": ["bold lines"]}, 500]
    found = describe(BLUE, **asked)
    assert found.words == ("bold lines",)
    assert "our list of things only" in found.notes[0]


def test_one_word_of_each_kind_before_a_second(asked, server):
    said = {"medium": ["oil", "pastel"], "mood": ["calm"], "palette": ["blue", "cobalt", "red"]}
    server.says = [said, {"things": []}]
    assert describe(BLUE, **asked, max_words=4).words == ("oil", "pastel", "blue", "calm")


@pytest.mark.parametrize("says", [401, "as you like", {"medium": ["a boat"]}, {}])
def test_a_model_that_fails_is_said_and_the_pixels_are_measured(asked, server, says):
    server.says = [says]
    found = describe(BLUE, **asked)
    assert found.backend == "measured"
    assert "llava:7b" in found.notes[0]


def test_a_model_that_was_asked_for_by_name_must_not_fail(asked, server):
    server.says = [503]
    with pytest.raises(LanguageModelError, match="HTTP 503"):
        describe(BLUE, backend="model", **asked)
    server.says = [{"medium": ["a boat"]}]
    with pytest.raises(LanguageModelError, match="No style word was said by llava"):
        describe(BLUE, backend="model", **asked)


def test_of_many_pictures_a_model_that_is_down_is_asked_once(asked, server):
    server.says = [500]
    describer = Describer(**asked)
    assert [describer(BLUE).backend, describer(BLUE).backend] == ["measured", "measured"]
    assert len(server.asked) == 1
    assert "HTTP 500" in describer(BLUE).notes[0]


def test_a_picture_of_which_a_model_says_nothing_does_not_end_it(asked, server):
    server.says = [{}, {"medium": ["oil"]}, {"things": []}]
    describer = Describer(**asked)
    assert [describer(BLUE).backend, describer(BLUE).backend] == ["measured", "model"]


def test_clips_words_and_the_measured_colors(cubist):
    found = describe(BLUE, backend="clip")
    assert found.backend == "clip"
    assert found.words == ("Cubism", "cobalt")
    assert "chosen by CLIP from 2" in found.provenance
    assert found.notes == ()


def test_clip_where_there_is_no_model(cubist):
    found = describe(BLUE)
    assert found.backend == "clip"
    assert "No vision-language model" in found.notes[0]


def test_of_many_pictures_clip_is_loaded_once(cubist):
    describer = Describer(backend="clip")
    describer(BLUE)
    describer(BLUE)
    assert cubist.made == 1


def test_a_clip_that_sees_nothing_clearly(cubist, monkeypatch):
    monkeypatch.setattr(cubist, "embed_images", lambda *_: np.eye(2)[[0]])
    found = describe(BLUE)
    assert found.backend == "measured"
    assert "No style word was chosen by CLIP" in found.notes[1]


def test_auto_fetches_no_clip(no_clip, monkeypatch):
    from impasto.nets import clip

    def fetched(*_):
        raise AssertionError("it went to the hub")

    monkeypatch.setattr(clip, "_download_snapshot", fetched)
    assert describe(BLUE).backend == "measured"
    with pytest.raises(AssertionError, match="hub"):
        describe(BLUE, backend="clip")
    with pytest.raises(AssertionError, match="hub"):
        describe(BLUE, clip="openai/clip-vit-base-patch32")


def test_a_clip_that_is_none(no_clip):
    with pytest.raises(WeightsError):
        describe(BLUE, backend="clip", clip="nowhere")


def test_measuring_alone_asks_nobody(asked, server):
    found = describe(BLUE, backend="measure", **asked)
    assert (found.backend, found.notes) == ("measured", ())
    assert server.asked == []


def test_a_tiny_picture_says_what_was_not_measured(no_clip):
    found = describe(BLUE[:9], backend="measure")
    assert found.notes == ("It is too small to measure its strokes.",)


@pytest.mark.parametrize("words", [0, 41, 2.5])
def test_a_number_of_words_that_does_not_fit(words):
    with pytest.raises(KnobError, match="1 to 40"):
        describe(BLUE, max_words=words)


def test_a_way_that_there_is_not():
    with pytest.raises(KnobError, match="auto, model, clip, measure"):
        describe(BLUE, backend="magic")


def test_a_picture_that_is_none(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        describe(tmp_path / "nothing.jpg")


def test_without_the_agent_extra_nothing_of_it_is_loaded(no_clip, monkeypatch):
    monkeypatch.setitem(sys.modules, "pydantic_ai", None)
    monkeypatch.delitem(sys.modules, "impasto.advise.describe.vlm", raising=False)
    assert describe(BLUE).backend == "measured"
    found = describe(BLUE, model="x", model_url="http://127.0.0.1:9/v1")
    assert 'pip install "impasto[agent]"' in found.notes[0]


def test_transparent_parts_are_white_to_a_model():
    picture = impasto.advise.describe.describe.as_picture(np.zeros((5, 5, 4), np.uint8))
    assert module._model_input(picture).min() == 1
