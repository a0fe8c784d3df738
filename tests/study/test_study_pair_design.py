"""What raters get to see: evenly, on both sides, nothing twice, and now and then a repeat."""

import itertools
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_study import METHODS, SCENES, answer_all, copied_study, methods_of, session_of

from impasto.study import pair_design


def test_every_two_methods_of_every_scene_are_a_pair():
    pairs = pair_design.all_pairs([7, 8], [1, 2, 3])
    assert len(set(pairs)) == 2 * 3
    assert all(pair.first < pair.second for pair in pairs)


@given(st.integers(2, 5), st.integers(1, 6), st.integers(0, 99))
def test_shown_one_after_the_other_pairs_stay_balanced(methods, scenes, seed):
    chance = random.Random(seed)
    pairs = pair_design.all_pairs(range(scenes), range(methods))
    shown, on_left = Counter(), Counter()
    for _ in range(3 * len(pairs) - 1):  # unfinished on purpose
        pair = pair_design.next_pair(pairs, shown, None, chance)
        left, right = pair_design.choose_sides(pair, on_left, chance)
        shown[pair] += 1
        on_left[left, right] += 1
    of_methods = Counter()
    for pair, times in shown.items():
        of_methods[pair.methods] += times
    assert max(of_methods.values()) - min(of_methods[p.methods] for p in pairs) <= 1
    assert max(shown.values()) - min(shown[pair] for pair in pairs) <= 1
    for a, b in itertools.combinations(range(methods), 2):
        assert abs(on_left[a, b] - on_left[b, a]) <= 1


def test_another_scene_follows_if_there_is_one():
    pairs = pair_design.all_pairs([1, 2], [1, 2])
    followers = {pair_design.next_pair(pairs, {}, 1, random.Random(k)).scene for k in range(20)}
    assert followers == {2}


def test_the_first_pair_is_left_to_chance():
    pairs = pair_design.all_pairs([1, 2, 3], [1, 2])
    assert len({pair_design.next_pair(pairs, {}, None, random.Random(k)) for k in range(40)}) == 3


@pytest.mark.parametrize(("goal", "length"), [(1, 1), (5, 5), (6, 7), (12, 14), (30, 35)])
def test_one_in_seven_is_a_repeat(goal, length):
    assert pair_design.total_pairs(goal) == length
    pairs = repeats = 0
    while pairs < goal or pair_design.repeat_is_due(pairs, repeats):
        if pair_design.repeat_is_due(pairs, repeats):
            repeats += 1
        else:
            pairs += 1
    assert pairs + repeats == length


@pytest.fixture
def seen(tmp_path):
    """What one rater was shown, a (scene, left method, right method) for each pair."""
    path = copied_study(tmp_path)
    session = session_of(path)
    views = answer_all(session, session.add_rater(), lambda view: "left")
    of = methods_of(path)
    return [(of[v.left][0], of[v.left][1], of[v.right][1]) for v in views if v.question == "keep"]


def test_a_rater_sees_every_pair_once_and_some_again(seen):
    pairs = Counter((scene, frozenset(methods)) for scene, *methods in seen)
    assert len(pairs) == len(SCENES) * 3
    assert sorted(pairs.values()) == [1] * 10 + [2, 2]


def test_a_repeat_comes_later_and_with_its_sides_swapped(seen):
    places = {}
    for place, (scene, *methods) in enumerate(seen):
        places.setdefault((scene, frozenset(methods)), []).append(place)
    repeats = [found for found in places.values() if len(found) == 2]
    assert repeats
    for first, again in repeats:
        assert again - first > pair_design.MIN_REPEAT_DISTANCE_PAIRS
        assert seen[first][1:] == seen[again][:0:-1]


def test_three_raters_who_stop_early_still_cover_all_methods_evenly(tmp_path):
    path = copied_study(tmp_path, pairs_each=2)
    session, of = session_of(path), methods_of(path)
    pairs = Counter()
    for _ in range(3):
        for view in answer_all(session, session.add_rater(), lambda view: "neither"):
            pairs[frozenset((of[view.left][1], of[view.right][1]))] += view.question == "keep"
    assert set(pairs.values()) == {2}
    assert len(pairs) == len(METHODS)


def test_the_seed_decides_what_is_shown(tmp_path):
    def shown(name, seed):
        path = copied_study(tmp_path / name, seed=seed)
        session, of = session_of(path), methods_of(path)
        views = answer_all(session, session.add_rater(), lambda view: "left")
        return [(of[view.left], of[view.right]) for view in views]

    assert shown("a", 1) == shown("b", 1)
    assert shown("c", 1) != shown("d", 2)
