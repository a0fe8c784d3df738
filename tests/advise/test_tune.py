"""The search itself, with real methods on pictures of a few pixels."""

import shlex

import numpy as np
import pytest
from toy import CONTENT, STYLE, Heard, toy_tuning

from impasto.advise.tune.objective import Objective
from impasto.advise.tune.storage import TrialStorage
from impasto.advise.tune.trial_sheet import make_trial_sheet
from impasto.advise.tune.tune import tune
from impasto.cli.knob_flags import parse_knob
from impasto.core.errors import InputError, InterruptedRun, KnobError
from impasto.core.knobs import get_knobs
from impasto.metrics import Evaluator
from impasto.pictures import as_picture


@pytest.fixture
def search():
    return toy_tuning


@pytest.fixture
def content():
    return CONTENT


@pytest.fixture
def style():
    return STYLE


def knobs_tried(tuning):
    return [dict(trial.knobs) for trial in tuning.trials]


def test_the_first_trial_is_of_the_defaults_and_nothing_worse_wins(search):
    tuning = search(trials=6)
    first = tuning.trials[0]
    assert (first.by, first.knobs["strength"], first.knobs["shade"]) == ("defaults", 1.0, 0.3)
    assert tuning.default_trial is first
    assert tuning.best.score == min(trial.score for trial in tuning.trials) < first.score
    assert len(tuning.trials) == 6


def test_a_trial_is_measured_as_the_judge_measures_the_finished_painting(search, content, style):
    tuning = search(trials=3)
    judge = Evaluator(
        as_picture(content), [as_picture(style)], metrics=("style_error", "content_error")
    )
    values = judge(tuning.stylize().pixels).values
    assert values["style_error"] == pytest.approx(tuning.best.style_error, rel=1e-3)
    assert values["content_error"] == pytest.approx(tuning.best.content_error, rel=1e-3)


def test_what_is_no_good_is_searched_away(search):
    assert search(trials=25).best.knobs["shade"] < 0.1


def test_the_same_seed_gives_the_same_trials(search):
    one, other = search(trials=5, seed=3), search(trials=5, seed=3)
    assert knobs_tried(one) == knobs_tried(other)
    assert [t.score for t in one.trials] == [t.score for t in other.trials]
    assert knobs_tried(search(trials=5, seed=4)) != knobs_tried(one)


def test_no_knobs_are_tried_twice(search):
    tried = [tuple(sorted(map(str, k.items()))) for k in knobs_tried(search(trials=12))]
    assert len(set(tried)) == 12


def test_a_knob_that_is_given_is_held(search):
    tuning = search(strength=0.7)
    assert {trial.knobs["strength"] for trial in tuning.trials} == {0.7}
    assert len({trial.knobs["shade"] for trial in tuning.trials}) == 4


def test_an_aim_at_the_content_finds_less_style(search):
    kept, bold = search(aim=0.7, trials=15), search(aim=0.3, trials=15)
    assert kept.best.content_error < bold.best.content_error
    assert kept.best.knobs["strength"] < bold.best.knobs["strength"]


def test_a_second_call_goes_on_from_the_first_and_counts_its_trials(search, tmp_path):
    study = tmp_path / "tune.db"
    first = search(storage=study, trials=3)
    heard = Heard()
    second = search(storage=study, trials=5, callback=heard)
    assert knobs_tried(second)[:3] == knobs_tried(first)
    assert len(second.trials) == 5
    assert any("3 earlier trials" in sentence for sentence in heard.said)
    assert len(list((tmp_path / "tune.trials").iterdir())) == 5


def test_another_aim_is_another_study_in_the_same_file(search, tmp_path):
    search(storage=tmp_path / "tune.db", trials=2)
    other = search(storage=tmp_path / "tune.db", trials=2, aim=0.4)
    assert [trial.number for trial in other.trials] == [0, 1]


def test_the_best_of_small_trials_are_painted_again_at_the_full_size(search):
    tuning = search(trial_size=48, trials=5)
    assert tuning.trial_size == 48
    assert tuning.fidelity == "64 px, steps 8"
    numbers = [trial.number for trial in tuning.finals]
    assert numbers[0] == 0
    assert set(numbers) == {trial.number for trial in tuning.trials}
    assert tuning.best in tuning.finals
    assert tuning.best.score == min(trial.score for trial in tuning.finals)


def test_no_more_than_six_are_painted_again(search):
    assert len(search(trial_size=48, trials=9).finals) == 6


def test_drafts_are_scored_for_what_more_steps_do_to_the_errors(search):
    tuning = search(trial_size=48, trials=3)
    pairs = [(t, f) for t in tuning.trials for f in tuning.finals if t.number == f.number]
    times = [
        np.mean([f.measures[name] / t.measures[name] for t, f in pairs])
        for name in ("style_error", "content_error")
    ]
    assert times[0] < 0.9 < 1.1 < times[1]  # two steps bring less of the style than eight
    for trial, _ in pairs:
        errors = times[0] * trial.style_error, times[1] * trial.content_error
        assert trial.score == pytest.approx(max(errors) + 0.02 * sum(errors))


def test_knobs_that_do_not_go_with_those_that_are_held_are_passed_over(search):
    tuning = search(grain="odd", trials=9)
    assert len(tuning.trials) == 9
    assert min(trial.knobs["shade"] for trial in tuning.trials) >= 0.2


def test_the_search_ends_when_nothing_new_is_left(search):
    assert len(search(strength=0.5, shade=0.2, trials=50).trials) == 1  # grain has one value


def test_learnt_styles_are_tuned_by_their_names(content):
    tuning = tune(content, "scream", method="fast", budget=60, trials=3)
    assert len(tuning.trials) == 3
    assert " scream " in tuning.command()


def test_transparent_parts_count_as_white_in_content_and_trial(search, content, style):
    alpha = np.ones(content.shape[:2], np.float32)
    alpha[:20] = 0.0
    white = content.copy()
    white[:20] = 1.0
    through = search(trials=1, strength=0.2, shade=0.0, alpha=alpha).best
    laid = search(trials=1, strength=0.2, shade=0.0, on=white).best
    assert through.content_error < laid.content_error  # only there is the white painted over


def test_a_content_that_is_its_own_style_cannot_be_tuned(search, style):
    with pytest.raises(InputError, match="hardly differ"):
        search(on=style)


def test_the_command_paints_the_winner(content, style, models):
    tuning = tune(
        content, [style], method="adain", weights=models["adain"], budget=60, trials=6,
        style_weights=(2,), seed=5,
    )  # fmt: skip
    words = shlex.split(tuning.command("out.png"))
    assert words[:2] == ["impasto", "stylize"]
    flags = dict(zip(words[4::2], words[5::2], strict=True))
    assert (flags["-o"], flags["--seed"], flags["--size"]) == ("out.png", "5", "64")
    for knob in get_knobs(type(tuning.request.method)):
        said = flags.get(f"--{knob.name.replace('_', '-')}")
        value = knob.default if said is None else parse_knob(knob, said)
        assert value == tuning.best.knobs[knob.name]


def test_the_recipe_of_the_winner_says_that_it_was_tuned(search):
    tuning = search()
    recipe = tuning.stylize().recipe
    assert recipe.knobs == dict(tuning.best.knobs)
    assert recipe.notes[-1] == f"Tuned: {tuning.summary}"
    assert "4 trials" in tuning.summary


def test_the_strip_shows_content_style_and_trials(search):
    tuning = search(trials=6)
    made = make_trial_sheet(tuning)
    shown = 2 + len({0, *(trial.number for trial in tuning.pareto_front)})
    rows = -(-shown // 5)
    assert 200 * rows < made.shape[0] < 200 * (rows + 1)
    assert made.dtype == np.float32


def test_ctrl_c_keeps_what_there_is(search, tmp_path):
    tuning = search(trials=50, callback=Heard(stop_after=3), storage=tmp_path / "tune.db")
    assert tuning.is_interrupted
    assert len(tuning.trials) in (3, 4)
    assert len(search(trials=5, storage=tmp_path / "tune.db").trials) == 5


def test_ctrl_c_before_the_first_trial_says_so(search):
    with pytest.raises(InterruptedRun, match="before the first trial"):
        search(callback=Heard(stop_after=0))


def test_a_trial_that_runs_over_the_budget_is_stopped(search, monkeypatch):
    monkeypatch.setattr(Objective, "seconds", lambda self: 0.0)
    with pytest.raises(KnobError, match="over before one trial was done"):
        search(steps=10**9, budget=1)


def test_a_budget_too_small_for_one_trial_says_how_long_one_takes(search, monkeypatch):
    monkeypatch.setattr(Objective, "seconds", lambda self: 90.0)
    with pytest.raises(
        KnobError, match=r"one trial at 64 px, steps 2 takes about 1 min 30 s.*Give 3 min"
    ):
        search(budget="30s")


def test_no_trial_is_begun_that_does_not_fit_into_the_budget(search, monkeypatch):
    forecast = Objective.seconds
    monkeypatch.setattr(
        Objective, "seconds", lambda self: 1000.0 if len(self._seconds) > 2 else forecast(self)
    )
    assert len(search(trials=10).trials) == 2


@pytest.mark.slow
def test_gatys_is_tuned_with_drafts_first(content, style):
    tuning = tune(content, style, method="gatys", budget=120, trials=2, trial_size=48)
    assert {trial.knobs["steps"] for trial in tuning.trials} == {300}
    assert tuning.fidelity == "64 px, steps 300"
    assert tuning.trials[0].seconds < tuning.finals[0].seconds


def test_a_disk_that_is_full_costs_a_warning_and_not_the_search(search, tmp_path, monkeypatch):
    real = TrialStorage.add

    def full(self, trial):
        real(self, trial)
        raise InputError("No space left.")

    monkeypatch.setattr(TrialStorage, "add", full)
    heard = Heard()
    tuning = search(storage=tmp_path / "tune.db", callback=heard)
    assert len(tuning.trials) == 4
    assert heard.warned == ["From now on, not every trial is kept: No space left."]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"aim": 1.5}, r"aim = 1\.5"),
        ({"aim": float("nan")}, "aim = nan"),
        ({"trials": 0}, "trials = 0"),
        ({"trial_size": 8}, "trial_size = 8"),
        ({"budget": "soon"}, "budget = 'soon'"),
        ({"budget": 0}, "budget = 0"),
        ({"strength": 0.5, "shade": 0.1, "grain": "none"}, "nothing to search"),
    ],
)
def test_a_setting_that_does_not_fit_is_named(search, settings, says):
    with pytest.raises(KnobError, match=says):
        search(**settings)


def test_a_budget_without_room_for_a_last_round_is_warned_of(search, monkeypatch):
    forecast = Objective.seconds
    monkeypatch.setattr(
        Objective,
        "seconds",
        lambda self: forecast(self) if self.rung.costs["steps"] == 2 else 1000.0,
    )
    heard = Heard()
    tuning = search(callback=heard)
    assert tuning.finals == ()
    assert "no room to paint the best again" in heard.warned[0]


def test_room_for_the_last_round_is_kept(search, monkeypatch):
    forecast = Objective.seconds
    cost = {2: 1.0, 8: 20.0}  # of a draft, and in full: two fit into 60 % of 80 s
    monkeypatch.setattr(
        Objective, "seconds", lambda self: forecast(self) and cost[self.rung.costs["steps"]]
    )
    assert len(search(budget=80, trials=8).finals) == 6  # they took no time
    assert search(budget=60, trials=8).finals == ()
