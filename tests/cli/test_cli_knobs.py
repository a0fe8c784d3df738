import json
from dataclasses import dataclass

import click
import pytest

from impasto import methods
from impasto.cli import knob_flags
from impasto.cli.app import app
from impasto.cli.knob_flags import knobs_from_flags, method_from_args, method_knobs_to_args
from impasto.cli.knob_flags import method_knob_flags as flags_of
from impasto.core.knobs import get_knobs, knob

EVERY = [(name, k) for name in methods.method_names() for k in get_knobs(methods.get_method(name))]
IDS = [f"{name}-{k.name}" for name, k in EVERY]

#: A value for each knob of Gatys that is not its default and goes with the others.
GATYS = {
    "strength": 0.75,
    "structure": 0.25,
    "alpha": 2.0,
    "beta": 3000.0,
    "tv": 0.125,
    "steps": 3,
    "content_layers": ["conv3_1", "conv3_2"],
    "style_layers": ["conv1_2", "conv2_1"],
    "content_layer_weights": [0.5, 0.25],
    "style_layer_weights": [1.0, 2.0],
    "style_loss": "wasserstein",
    "pooling": "average",
    "padding": "zeros",
    "init": "noise",
    "optimizer": "adam",
    "learning_rate": 0.05,
    "lbfgs_history": 5,
    "ema_decay": 0.5,
    "style_size": 40,
    "style_scale": 1.5,
    "min_size": 0,
    "warmup_steps": 1,
}


def other(k):
    """A value of the knob's type and range that is not its default."""
    if k.item_type is bool:
        one = not k.default
    elif k.choices:
        one = next(choice for choice in k.choices if choice != k.default)
    elif k.item_type is str:
        one = "other"
    else:
        low = k.low or 0
        one = k.item_type(low + 1 if k.high is None else (low + k.high) / 2)
        one = one if one != k.default else k.item_type(low)
    return (one, one) if k.is_tuple else one


def given(args):
    """The knobs that a command line of stylize sets."""
    root = click.Context(app, info_name="impasto")
    command = app.get_command(root, "stylize")
    return knobs_from_flags(command.make_context("stylize", list(args), parent=root))


@pytest.mark.parametrize(("method", "k"), EVERY, ids=IDS)
def test_every_knob_has_a_flag_that_carries_its_value(method, k):
    value = other(k)
    words = method_knobs_to_args(method, {k.name: value})
    assert words
    assert given(["a", "b", "-o", "c.png", "--method", method, *words]) == {k.name: value}


@pytest.mark.parametrize("method", methods.method_names())
def test_a_flag_that_is_not_given_is_not_passed(method):
    assert given(["a", "b", "-o", "c.png", "--method", method]) == {}


@pytest.mark.parametrize("method", methods.method_names())
def test_no_knob_is_called_like_a_flag_of_the_verb(method):
    command = app.get_command(click.Context(app), "stylize")
    own = {name for param in command.params for name in (param.name, *param.opts)}
    for flag in flags_of(method):
        assert not own & {flag.name, *flag.opts}


@pytest.mark.parametrize(("method", "k"), EVERY, ids=IDS)
def test_the_help_of_a_knob_says_doc_range_and_default(method, k):
    flag = next(flag for flag in flags_of(method) if flag.name == k.name)
    assert k.doc in flag.help
    if k.choices:
        assert all(choice in flag.metavar for choice in k.choices)
    else:
        assert k.allowed_text in flag.help
    assert ("default" in flag.help) == (k.default is not None)


def test_the_values_arrive_in_the_recipe(impasto, photo, style, tmp_path):
    assert set(GATYS) == {k.name for k in get_knobs(methods.get_method("gatys"))}
    out = tmp_path / "out.png"
    words = method_knobs_to_args("gatys", GATYS)
    done = impasto("stylize", photo, style, "-o", out, "--size", 48, "--json", *words)
    assert done.code == 0, done.err
    assert done.json["recipe"]["knobs"] == GATYS
    assert json.loads(impasto("show", out, "--json").out)["knobs"] == GATYS


def test_help_puts_the_knobs_under_the_methods_name(impasto):
    text = impasto("stylize", "--help").out
    head, _, knobs = text.partition("Style, by the method gatys:")
    assert "--steps" in knobs
    assert "--steps" not in head
    assert "--output" in head


def test_booleans_and_optional_knobs_become_flags(monkeypatch):
    @dataclass(frozen=True)
    class Fake:
        smooth: bool = knob(True, "smooth it")
        grain: int | None = knob(None, "grain", low=1, unit="px")

    monkeypatch.setattr(knob_flags, "get_method", lambda name: Fake)
    flags_of.cache_clear()
    try:
        line = ["a", "b", "-o", "c.png", "--method", "fake"]
        assert given([*line, "--no-smooth", "--grain", "4"]) == {"smooth": False, "grain": 4}
        assert given([*line, "--smooth"]) == {"smooth": True}
        assert given(line) == {}
        assert method_knobs_to_args("fake", {"smooth": False}) == ["--no-smooth"]
    finally:
        flags_of.cache_clear()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--steps", "many"), "steps = 'many' does not fit"),
        (("--steps", "0"), "1 to 100000"),
        (("--alpha", "nan"), "a finite number"),
        (("--alpha", "-1"), "at least 0"),
        (("--style-loss", "grams"), "did you mean gram?"),
        (("--style-layer-weights", "1,x"), "'x'"),
        (("--stpes", "3"), "Did you mean --steps?"),
        (("--style-layer", "conv1_1"), "Did you mean --style-layer"),
        (("--method", "gattys"), "Did you mean gatys?"),
        (("--method", "fast", "--structure", "1"), "no --structure; gatys and deep-photo and sdxl"),
        (("--method", "fast", "--stpes", "3"), "There is no flag --stpes"),
    ],
)
def test_a_wrong_knob_is_refused_before_any_picture_is_read(impasto, words, said):
    done = impasto("stylize", "missing.png", "missing.png", "-o", "x.png", *words)
    assert done.code == 2
    assert said in done.err
    assert len(done.err.splitlines()) == 1


def test_the_method_is_found_wherever_it_is_named():
    assert method_from_args(["a", "b", "--method", "x"]) == "x"
    assert method_from_args(["--method=x", "a"]) == "x"
    assert method_from_args(["--method", "x", "--method", "y"]) == "y"
    assert method_from_args(["a", "--", "--method", "x"]) == method_from_args([]) == "gatys"
