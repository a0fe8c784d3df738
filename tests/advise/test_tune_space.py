"""What is searched: the ranges of every method, and the way to Optuna's parameters and back."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto import methods
from impasto.advise.tune.search_space import SearchSpace
from impasto.core.errors import KnobError
from impasto.core.knobs import SearchRange, get_knobs, knob, knobs_from_dict


@dataclass(frozen=True)
class Brush:
    """A knob of every kind that can be searched."""

    name: ClassVar[str] = "brush"

    width: float = knob(
        1.0, "width", low=0, high=9, search=SearchRange(0.5, 2, initial_values=(0.7,))
    )
    hairs: int = knob(10, "hairs", low=1, search=SearchRange(1, 100, log=True))
    wet: bool = knob(False, "wet", search=SearchRange())
    mix: tuple[float, ...] = knob((), "mix", search=SearchRange(values=((), (1.0, 2.0))))
    strokes: int = knob(300, "strokes", low=1, search=SearchRange(trial_value=20))
    tilt: float = knob(0.0, "tilt")


SEARCHED = [
    pytest.param(name, each, id=f"{name}.{each.name}")
    for name in methods.method_names()
    for each in get_knobs(methods.get_method(name))
    if each.search
]


@pytest.mark.parametrize(("method", "searched"), SEARCHED)
def test_what_a_method_searches_is_within_what_its_knob_takes(method, searched):
    search = searched.search
    tried = [search.low, search.high, search.trial_value, *search.values, *search.initial_values]
    for value in tried:
        if value is not None:
            assert (
                searched.check(searched.item_type(value) if value == search.low else value) == value
            )


@pytest.mark.parametrize("method", methods.method_names())
def test_the_defaults_are_a_point_of_what_is_searched(method):
    space = SearchSpace(methods.get_method(method), {})
    assert set(space.params(space.complete({}))) == {d.name for d in space.dimensions}


@pytest.mark.parametrize("method", methods.method_names())
def test_every_method_leaves_strength_to_be_searched(method):
    assert "strength" in {d.name for d in SearchSpace(methods.get_method(method), {}).dimensions}


def test_every_kind_of_knob_is_drawn_by_optuna():
    import optuna

    space = SearchSpace(Brush, {})
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(30):
        knobs = space.knobs(study.ask(space.distributions()).params)
        assert knobs_from_dict(Brush, knobs)
        assert 0.5 <= knobs["width"] <= 2
        assert 1 <= knobs["hairs"] <= 100
        assert knobs["wet"] in (False, True)
        assert knobs["mix"] in ([], [1.0, 2.0])
        assert (knobs["strokes"], knobs["tilt"]) == (300, 0.0)


@given(
    width=st.floats(0.5, 2),
    hairs=st.integers(1, 100),
    wet=st.booleans(),
    mix=st.sampled_from([0, 1]),
)
def test_knobs_give_back_the_parameters_that_they_came_from(width, hairs, wet, mix):
    space = SearchSpace(Brush, {})
    knobs = space.knobs({"width": width, "hairs": hairs, "wet": int(wet), "mix": mix})
    again = space.params(knobs)
    assert space.knobs(again) == knobs
    assert again["width"] == pytest.approx(width, rel=0.005)
    assert (again["hairs"], again["wet"], again["mix"]) == (hairs, int(wet), mix)


def test_a_value_outside_of_the_range_has_no_parameter():
    space = SearchSpace(Brush, {})
    assert "width" not in space.params(space.complete({"width": 5.0}))
    assert "mix" not in space.params(space.complete({"mix": (3.0,)}))


def test_a_number_is_tried_with_three_digits():
    assert SearchSpace(Brush, {}).knobs({"width": 0.123456789})["width"] == 0.123


def test_a_knob_that_is_held_is_not_searched():
    space = SearchSpace(Brush, {"width": 0.9, "strokes": 50})
    assert [d.name for d in space.dimensions] == ["hairs", "wet", "mix"]
    assert space.complete({})["width"] == 0.9
    assert space.drafts() == {}


def test_a_knob_that_is_held_cannot_be_given_another_value():
    space = SearchSpace(Brush, {"width": 0.9})
    assert space.complete({"width": 0.9})["width"] == 0.9
    with pytest.raises(KnobError, match=r"width is held at 0\.9"):
        space.complete({"width": 1.0})


def test_where_every_knob_is_held_nothing_is_left_to_search():
    with pytest.raises(KnobError, match="nothing to search"):
        SearchSpace(Brush, {"width": 1, "hairs": 1, "wet": True, "mix": ()})


def test_the_first_trials_are_the_defaults_and_what_is_known_to_be_good():
    widths = [knobs["width"] for knobs in SearchSpace(Brush, {}).starts()]
    assert widths == [1.0, 0.7]


def test_a_draft_is_cheaper_where_the_knob_is_not_held():
    assert SearchSpace(Brush, {}).drafts() == {"strokes": 20}
