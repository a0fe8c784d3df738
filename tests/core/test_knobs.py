"""Knobs: every rule by which a value is taken or refused, and what is derived from them."""

import dataclasses
import inspect
import json
import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto import methods
from impasto.core.errors import KnobError
from impasto.core.knobs import closest_name, get_knobs, knob, knobs_from_dict, knobs_to_dict


@dataclass(frozen=True)
class Brush:
    """One knob of every kind."""

    width: float = knob(1.0, "width", low=0.5, high=8, unit="px")
    hairs: int = knob(10, "hairs", low=1)
    shape: str = knob("round", "shape", choices=("round", "flat", "fan"))
    wet: bool = knob(False, "wet")
    tilt: float | None = knob(None, "tilt; unset: as held", high=90)
    mix: tuple[float, ...] = knob((), "mix", low=0)
    names: tuple[str, ...] = knob(("a",), "names")
    made: str = "a field that is no knob"


def knob_of(name, kind=Brush):
    return {k.name: k for k in get_knobs(kind)}[name]


@pytest.mark.parametrize(
    ("name", "value", "taken"),
    [
        ("width", 2, 2.0),
        ("width", 0.5, 0.5),
        ("width", 8, 8.0),
        ("width", np.float32(1.5), 1.5),
        ("width", np.int64(2), 2.0),
        ("hairs", 1, 1),
        ("hairs", np.int64(7), 7),
        ("shape", "fan", "fan"),
        ("wet", True, True),
        ("tilt", None, None),
        ("tilt", -400, -400.0),
        ("mix", [1, 2.5], (1.0, 2.5)),
        ("mix", (), ()),
        ("mix", np.array([1.0, 2.0]), (1.0, 2.0)),
        ("mix", iter([3]), (3.0,)),
        ("names", ["x", "y"], ("x", "y")),
    ],
)
def test_a_value_that_fits_comes_in_the_knobs_own_type(name, value, taken):
    found = getattr(knobs_from_dict(Brush, {name: value}), name)
    assert found == taken
    assert type(found) is type(taken)
    if isinstance(taken, tuple):
        assert [type(item) for item in found] == [type(item) for item in taken]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("width", 0.49, "0.5 to 8 px"),
        ("width", 8.01, "0.5 to 8 px"),
        ("width", True, "a finite number"),
        ("width", "2", "a finite number"),
        ("width", None, "a finite number"),
        ("width", math.nan, "a finite number"),
        ("width", math.inf, "a finite number"),
        ("width", 10**400, "a finite number"),
        ("width", 1 + 0j, "a finite number"),
        ("hairs", 0, "at least 1"),
        ("hairs", 3.0, "a whole number"),
        ("hairs", True, "a whole number"),
        ("hairs", "3", "a whole number"),
        ("shape", "fat", "did you mean flat?"),
        ("shape", "zzzz", "one of round, flat, fan."),
        ("shape", 3, "text"),
        ("wet", 1, "true or false"),
        ("wet", "yes", "true or false"),
        ("tilt", 91, "at most 90"),
        ("tilt", -math.inf, "a finite number"),
        ("mix", 3.0, "a list"),
        ("mix", "1,2", "a list"),
        ("mix", [1, -0.1], "at least 0"),
        ("mix", [1, None], "a finite number"),
        ("mix", None, "a list"),
        ("names", "ab", "a list, each item text"),
        ("names", [1], "text"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_in_words(name, value, says):
    with pytest.raises(KnobError, match=rf"^{name} = ") as caught:
        knobs_from_dict(Brush, {name: value})
    assert says in str(caught.value)


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(KnobError, match=r"Brush has no knob 'widht'\. Did you mean width\?"):
        knobs_from_dict(Brush, {"widht": 1.0})
    with pytest.raises(KnobError, match=r"It has width, hairs, shape, wet, tilt, mix, names\."):
        knobs_from_dict(Brush, {"qqqqqq": 1.0})
    with pytest.raises(KnobError, match="no knob 'made'"):
        knobs_from_dict(Brush, {"made": "x"})


def test_nothing_is_built_when_one_value_is_wrong():
    with pytest.raises(KnobError, match="hairs"):
        knobs_from_dict(Brush, {"width": 2.0, "hairs": 0})


def test_what_a_knob_says_about_itself():
    assert [k.name for k in get_knobs(Brush)] == [
        "width", "hairs", "shape", "wet", "tilt", "mix", "names",
    ]  # fmt: skip
    assert (knob_of("tilt").is_optional, knob_of("tilt").item_type, knob_of("tilt").is_tuple) == (
        True, float, False,
    )  # fmt: skip
    assert (knob_of("mix").is_optional, knob_of("mix").item_type, knob_of("mix").is_tuple) == (
        False, float, True,
    )  # fmt: skip
    assert knob_of("hairs").allowed_text == "at least 1"
    assert knob_of("tilt").allowed_text == "at most 90"
    assert knob_of("names").allowed_text == ""


def test_nearest_finds_typos_and_leaves_the_rest_alone():
    assert closest_name("stile_size", ["style_size", "steps"]) == "style_size"
    assert closest_name("xyz", ["style_size", "steps"]) is None
    assert closest_name("", []) is None


def values_for(knob):
    if knob.choices:
        items = st.sampled_from(knob.choices)
    elif knob.item_type is float:
        items = st.floats(knob.low, knob.high, allow_nan=False, allow_infinity=False)
    elif knob.item_type is int:
        items = st.integers(knob.low, knob.high)
    elif knob.item_type is bool:
        items = st.booleans()
    else:
        items = st.text(max_size=20)
    if knob.is_tuple:
        items = st.lists(items, max_size=4).map(tuple)
    return st.none() | items if knob.is_optional else items


def settings_of(kind):
    return st.fixed_dictionaries({}, optional={k.name: values_for(k) for k in get_knobs(kind)})


KINDS = [Brush, *(methods.get_method(name) for name in methods.method_names())]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_mapping_goes_through_json_and_comes_back_the_same(kind):
    @given(settings_of(kind))
    def holds(values):
        made = knobs_from_dict(kind, values)
        for name, value in values.items():
            assert getattr(made, name) == value
        again = knobs_from_dict(kind, json.loads(json.dumps(knobs_to_dict(made))))
        assert again == made

    holds()


@given(st.one_of(st.integers(), st.floats(), st.text(), st.booleans(), st.none(), st.binary()))
def test_a_number_is_either_taken_within_its_range_or_refused(value):
    try:
        found = knob_of("width").check(value)
    except KnobError:
        fits = isinstance(value, (int, float)) and not isinstance(value, bool)
        assert not (fits and 0.5 <= value <= 8)
    else:
        assert type(found) is float
        assert 0.5 <= found <= 8


@pytest.mark.parametrize("name", methods.method_names())
def test_a_methods_knobs_are_written_as_the_house_wants_them(name):
    kind = methods.get_method(name)
    assert kind.name == name
    assert kind.__dataclass_params__.frozen
    assert all("knob" in f.metadata for f in dataclasses.fields(kind))
    for each in get_knobs(kind):
        assert each.doc, each.name
        assert "\n" not in each.doc, each.name
        assert not each.doc.endswith("."), each.name
        assert each.low is None or each.high is None or each.low < each.high
        assert each.check(each.default) == each.default, "the default must fit its own range"
        if each.item_type in (int, float):
            assert each.low is not None, f"{each.name} may be as low as one likes"
    assert kind() == knobs_from_dict(kind, {})


@pytest.mark.parametrize("name", methods.method_names())
def test_a_methods_card_is_whole_and_its_shared_knobs_mean_the_same(name):
    card = methods.get_method(name).card
    assert all((card.title, card.good_for, card.not_for, card.paper, card.license))
    shared = {"strength", "structure"} & set(card.supports)
    knobs = {k.name: k for k in get_knobs(methods.get_method(name))}
    assert shared == {"strength", "structure"} & set(knobs)
    for each in shared:
        assert (knobs[each].low, knobs[each].high) == (0, 1)


@pytest.mark.parametrize("name", methods.method_names())
def test_a_method_offers_what_the_protocol_asks_for(name):
    from impasto.core.request import Method

    kind = methods.get_method(name)
    for function in ("forecast", "precision_agreement", "warnings", "stylize"):
        wanted = inspect.signature(getattr(Method, function)).parameters
        assert list(inspect.signature(getattr(kind, function)).parameters) == list(wanted)


def test_an_unknown_method_is_answered_with_the_nearest():
    with pytest.raises(KnobError, match=r"no method 'gatis'\. Did you mean gatys\?"):
        methods.get_method("gatis")
    with pytest.raises(KnobError, match="There is "):
        methods.get_method("zzzzzz")
