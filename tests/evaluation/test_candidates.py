"""Who takes part in a comparison."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto import methods
from impasto.cli.knob_flags import knobs_from_flags
from impasto.cli.stylize import stylize
from impasto.core.errors import KnobError
from impasto.core.knobs import knobs_from_dict
from impasto.evaluation.comparison.candidates import Candidate, SharedOptions, parse_candidates


def labels(wanted):
    return [entry.label for entry in parse_candidates(wanted)]


def test_all_is_every_registered_method():
    assert labels("all") == list(methods.method_names())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("adain", ["adain"]),
        (" adain , gatys ", ["adain", "gatys"]),
        ("gatys:steps=100,structure=0.7;adain", ["gatys structure=0.7 steps=100", "adain"]),
        ("adain,wct;gatys:tv=0.5", ["adain", "wct", "gatys tv=0.5"]),
        ("gatys:style-layers=conv1_1,conv2_1", ["gatys style_layers=conv1_1,conv2_1"]),
        ("gatys:steps=300", ["gatys"]),  # the default
    ],
)
def test_a_text_names_methods_and_their_knobs(text, expected):
    assert labels(text) == expected


def test_knobs_can_be_given_as_values():
    (entry,) = parse_candidates([("gatys", {"steps": 100})])
    assert (entry.label, entry.file) == ("gatys steps=100", "results/gatys-steps-100.png")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("gatis", "Did you mean gatys?"),
        ("adain;gatys:step=100", "Did you mean steps?"),
        ("gatys:steps=many", "must be a whole number"),
        ("gatys:steps", "knobs are name=value"),
        ("gatys:steps=100,adain", "steps = '100,adain'"),
        ("adain,adain", "adain is there twice"),
        ("gatys;gatys:steps=300", "gatys is there twice"),
        ("", "name one of gatys"),
        (";", "name one of gatys"),
    ],
)
def test_what_does_not_fit_is_said(text, says):
    with pytest.raises(KnobError, match=re.escape(says)):
        parse_candidates(text)


@given(st.text(max_size=40), st.floats(0, 1), st.integers(1, 300))
def test_a_file_name_is_plain_and_of_one_entry_alone(path, strength, steps):
    knobs = {"init": path, "strength": strength, "steps": steps}
    one, other = Candidate("gatys", knobs), Candidate("gatys", {**knobs, "init": path + "x"})
    for entry in (one, other):
        assert re.fullmatch(r"results/gatys[a-z0-9_.,+-]{1,90}\.png", entry.file)
        assert "/.." not in entry.file
    assert one.file != other.file


@pytest.mark.parametrize("text", ["gatys:tv=0.25,style-layers=conv1_1,conv2_1", "adain", "wct"])
def test_the_command_line_says_the_same_as_the_entry(text):
    (entry,) = parse_candidates(text)
    match = SharedOptions(
        "-photo.jpg", ("style.jpg", "other.jpg"), 96, seed=7, style_weights=(2.0, 1.0)
    )
    words = match.cli_args(entry, "out.png")
    assert words[0] == "stylize"
    context = stylize.make_context("stylize", words[1:])
    kind = methods.get_method(entry.method)
    assert knobs_from_dict(kind, knobs_from_flags(context)) == knobs_from_dict(kind, entry.knobs)
    assert context.params["content"] == "./-photo.jpg"  # a flag it is not
    assert context.params["styles"] == ("style.jpg", "other.jpg")
    assert context.params["style_weights"] == (2.0, 1.0)
    assert (context.params["size"], context.params["seed"]) == (96, 7)
    assert (context.params["method"], context.params["output"]) == (entry.method, "out.png")
