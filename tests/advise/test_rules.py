"""The decision table: what it favors, that its sentences are whole, and that the docs have it."""

import importlib.util
import itertools
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto import methods
from impasto.advise.recommend.benchmark_figures import FIGURES_PATH, load_figures, methods_by_error
from impasto.advise.recommend.rules import RULES, Rule, fill_template, matching_rules, rank_methods
from impasto.advise.recommend.scenario import PURPOSES, Scenario
from impasto.core.errors import KnobError

ROOT = Path(__file__).resolve().parents[2]
LEARNT = frozenset({"fast"})


def script(path):
    """A script of this repository as a module, if it is there (a source package has none)."""
    place = ROOT / path
    if not place.is_file():
        pytest.skip(f"{path} is not here")
    spec = importlib.util.spec_from_file_location(f"script_{place.stem}", place)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def order(**case):
    """Every method, the best first."""
    everyone = (*methods.method_names(), *methods.video_method_names())
    return rank_methods(everyone, matching_rules(Scenario(**case)))


@pytest.mark.parametrize(
    ("purpose", "methods_with_styles", "wanted"),
    [
        ("picture", True, ["gatys", "fast", "adain", "wct"]),
        ("picture", False, ["gatys", "adain", "wct"]),
        ("preview", True, ["fast", "adain", "wct"]),
        ("live", True, ["fast", "adain"]),
        ("batch", False, ["fast", "adain", "wct"]),
        ("print", True, ["gatys", "fast", "adain"]),
        ("video", True, ["fast", "adain", "wct", "gatys"]),
        ("photo", True, ["photowct", "deep-photo", "gatys"]),
        ("text", False, ["sdxl", "gatys"]),
        ("brand", True, ["sdxl", "fast", "adain"]),
        ("leak", True, ["sdxl", "adain"]),
    ],
)
def test_the_table_of_the_field(purpose, methods_with_styles, wanted):
    found = order(
        purpose=purpose, methods_with_styles=LEARNT if methods_with_styles else frozenset()
    )
    assert list(found[: len(wanted)]) == wanted


def test_every_purpose_has_one_rule_of_its_name():
    for purpose in PURPOSES:
        names = [rule.name for rule in matching_rules(Scenario(purpose=purpose))]
        assert [name for name in names if name in PURPOSES] == [purpose]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_names_only_methods_that_are_here(rule):
    named = {*rule.favors, *rule.fallbacks, *rule.knobs}
    assert named <= {*methods.method_names(), *methods.video_method_names()}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_sentence_has_all_its_figures(rule):
    words = Scenario(style_names=("a.jpg", "b.jpg")).template_values
    for sentence in (rule.reason, rule.fallback_reason):
        assert "{" not in fill_template(sentence, words)
    assert rule.format_reason(words).endswith(".")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_with_a_substitute_says_what_that_does(rule):
    assert bool(rule.fallbacks) == bool(rule.fallback_reason)
    assert not set(rule.favors) & set(rule.fallbacks)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_knobs_that_a_rule_sets_are_accepted(rule):
    from impasto.core.knobs import knobs_from_dict

    for method, knobs in rule.knobs.items():
        if method in methods.method_names():
            knobs_from_dict(methods.get_method(method), knobs)


NAMES = ("a", "b", "c", "d")
RULE = st.lists(st.sampled_from(NAMES), unique=True, max_size=4).map(
    lambda favors: Rule("r", "", lambda s: True, "", favors=tuple(favors))
)


@given(st.lists(RULE, min_size=1, max_size=4))
def test_of_two_methods_the_first_rule_that_tells_them_apart_decides(rules):
    found = rank_methods(NAMES, tuple(rules))
    for one, other in itertools.pairwise(found):
        apart = [r for r in rules if r.rank(one) != r.rank(other)]
        if apart:
            assert apart[0].rank(one) < apart[0].rank(other)
        else:
            assert NAMES.index(one) < NAMES.index(other)  # as they were


def test_a_style_of_much_contrast_fires_its_rule():
    middle = load_figures()["common"].contrast
    rules = [
        {r.name for r in matching_rules(Scenario(style_contrast=middle + d))} for d in (0.01, -0.01)
    ]
    assert "contrast" in rules[0]
    assert "contrast" not in rules[1]


def test_a_small_print_is_told_the_pixels_of_a_page():
    said = [
        r.format_reason(Scenario(long_side=1000).template_values) for r in RULES if r.name == "page"
    ]
    # 1000 dots at 300 an inch are 8.47 cm; A4 is 29.7 cm long, 3508 dots
    assert said == ["At 300 dots an inch 1000 px are 8 cm: for an A4 page say --size 3508."]
    small, large = (
        matching_rules(Scenario(purpose="print", long_side=side)) for side in (3507, 3508)
    )
    assert [any(r.name == "page" for r in rules) for rules in (small, large)] == [True, False]


def test_the_nearest_to_the_style_comes_first_in_our_figures():
    errors = [load_figures()[name].error for name in methods_by_error()]
    assert errors == sorted(errors)
    assert set(methods_by_error()) <= set(methods.method_names())


def test_an_unknown_purpose_is_refused_with_the_nearest():
    with pytest.raises(KnobError, match=r"purpose = 'vidoe' .* did you mean video"):
        Scenario(purpose="vidoe")


def test_the_figures_are_those_of_the_benchmarks():
    gathered = script("benchmarks/figures.py").gathered()
    assert json.loads(FIGURES_PATH.read_text(encoding="utf-8")) == gathered, (
        "python benchmarks/figures.py"
    )


def test_the_page_has_the_rules_of_the_program():
    tables = script("docs/tables.py")
    page = (ROOT / "docs" / "recommend.md").read_text(encoding="utf-8")
    assert all(f"<!-- table: {name} -->" in page for name in tables.TABLES)
    assert page == tables.renewed(page), "python docs/tables.py"
