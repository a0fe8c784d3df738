"""The guards as sentences; that each is called where its mistake happens is tested there too."""

import pytest

from impasto.core import pitfalls


@pytest.mark.parametrize("ratio", [0.3, 1.0, 110.0, 1e5])
def test_a_balance_within_the_useful_range_is_not_warned_of(ratio):
    assert pitfalls.untuned_balance(ratio) is None


@pytest.mark.parametrize(("ratio", "where"), [(0.1, "below"), (1e6, "above"), (1e8, "above")])
def test_a_balance_from_another_program_is_told_and_the_remedy_named(ratio, where):
    said = pitfalls.untuned_balance(ratio)
    assert f"{ratio:.3g} is far {where}" in said
    assert "impasto tune" in said


def test_layers_at_the_same_depth_are_not_warned_of():
    assert pitfalls.moved_layers("X", ["a", "b"], ["a", "b", "d"], ["a", "b", "c"]) is None


def test_a_layer_at_another_depth_is_named_with_both_depths():
    said = pitfalls.moved_layers("X", ["a", "d"], ["a", "b", "d"], ["a", "b", "c", "d"])
    assert said == (
        "X has the same layer names at other depths: "
        "d is convolution 3 of 3 (100% of the way) there and 4 of 4 (100% of the way) in VGG-19."
    )


def test_two_pictures_that_hardly_differ_may_be_frames_of_a_film():
    assert "flicker" in pitfalls.single_frame("walk_7.png", "walk_8.png", 0.01)
    assert pitfalls.single_frame("holiday_7.jpg", "holiday_8.jpg", 0.2) is None


def test_a_full_adapter_scale_leaks_and_the_usual_one_does_not():
    assert "things" in pitfalls.leaking_adapter(1.0)
    assert pitfalls.leaking_adapter(0.7) is None


def test_a_film_of_which_nothing_is_carried_on_is_told():
    assert "boil" in pitfalls.frame_by_frame(0.0)
    assert pitfalls.frame_by_frame(0.1) is None
