"""``impasto tune``: what it tells, what it writes, and how it is stopped and gone on with."""

import shlex
import signal
import sqlite3

import numpy as np
import pytest
from PIL import Image

from impasto.advise.tune import search_stage as round_module
from impasto.cli.words import format_value
from impasto.core.knobs import get_knobs
from impasto.methods import get_method
from impasto.pipeline import load_recipe


@pytest.fixture
def line(photo, style, models):
    """The arguments of a short tuning."""
    flags = ["--budget", "60s", "--trials", "4", "--precision", "fp32"]
    return ["tune", photo, style, "--method", "adain", "--weights", models["adain"], *flags]


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def trials_in(path):
    with sqlite3.connect(path) as file:
        return file.execute("select count(*) from trials").fetchone()[0]


def test_the_trials_are_a_table_and_the_last_line_is_the_command(impasto, line, tmp_path):
    done = impasto(*line)
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0].split()[:3] == ["trial", "by", "score"]
    assert sum("defaults" in each for each in lines) == 1
    assert shlex.split(lines[-1])[:2] == ["impasto", "stylize"]
    assert "4 trials" in done.err
    assert {p.name for p in tmp_path.iterdir()} == {"tune.db", "tune.trials"}


def test_the_command_it_prints_paints_the_winner(impasto, line, tmp_path):
    printed = shlex.split(impasto(*line).out.splitlines()[-1])
    again = impasto(*line, "--json").json
    assert impasto(*printed[1:]).code == 0
    assert load_recipe(tmp_path / "painting.png").knobs == again["best"]["knobs"]


def test_the_winner_is_painted_and_says_that_it_was_tuned(impasto, line, tmp_path, photo):
    done = impasto(*line, "-o", "best.png", "--trial-sheet", "strip.png")
    assert done.out.splitlines()[-2:] == ["strip.png", "best.png"]
    recipe = load_recipe("best.png")
    assert recipe.notes[-1].startswith("Tuned: 4 trials")
    assert recipe.method == "adain"
    with Image.open(photo) as content, Image.open("best.png") as painting:
        assert painting.size == content.size
    names = {p.name for p in tmp_path.iterdir()}
    assert names == {"best.png", "strip.png", "best.tune.db", "best.tune.trials"}


def test_a_tuned_painting_is_repeated_to_the_pixel(impasto, line, pixels):
    impasto(*line, "-o", "best.png")
    assert impasto("rerun", "best.png", "-o", "again.png").code == 0
    assert np.array_equal(pixels("best.png"), pixels("again.png"))


def test_json_has_every_trial_and_the_frontier(impasto, line):
    told = impasto(*line, "--json").json
    assert [trial["number"] for trial in told["trials"]] == [0, 1, 2, 3]
    assert told["defaults"]["by"] == "defaults"
    assert told["best"]["score"] == min(trial["score"] for trial in told["trials"])
    assert set(told["frontier"]) <= {0, 1, 2, 3}
    assert (told["study"], told["output"], told["stopped"]) == ("tune.db", None, False)
    assert told["warnings"] == []


def test_quiet_leaves_the_command_alone(impasto, line):
    done = impasto(*line, "-q")
    assert done.err == ""
    assert len(done.out.splitlines()) == 1


def test_the_same_command_goes_on_and_counts_what_was_there(impasto, line):
    impasto(*line, "--storage", "my.db")
    done = impasto(*line, "--trials", "6", "--storage", "my.db")
    assert "Going on from 4 earlier trials" in done.err
    assert trials_in("my.db") == 6


def test_a_knob_that_is_given_is_held(impasto, line):
    told = impasto(*line, "--strength", "0.6", "--json").json
    assert {trial["knobs"]["strength"] for trial in told["trials"]} == {0.6}


def test_the_help_says_that_given_knobs_are_held(impasto):
    done = impasto("tune", "--method", "wct", "--help")
    words = " ".join(done.out.split())
    assert "by the method wct: a knob that is given is held, not searched" in words
    assert "--level-strengths" in words


@pytest.fixture
def stopped(monkeypatch):
    """Ctrl-C is pressed once there are two trials."""
    attempt = round_module.SearchStage.attempt

    def pressed(self, *args, **more):
        if len(self.trials) == 2:
            signal.raise_signal(signal.SIGINT)
        return attempt(self, *args, **more)

    monkeypatch.setattr(round_module.SearchStage, "attempt", pressed)


def test_ctrl_c_writes_the_winner_so_far(impasto, line, stopped):
    done = impasto(*line, "-o", "best.png")
    assert done.code == 130
    assert trials_in("best.tune.db") == 2
    assert load_recipe("best.png").notes[-1].startswith("Tuned: 2 trials")
    assert "At full size: impasto stylize" in done.err


def test_after_ctrl_c_a_long_painting_is_made_small(impasto, line, stopped, monkeypatch):
    from impasto.cli import tune_runner

    monkeypatch.setattr(tune_runner, "MAX_SECONDS_AFTER_INTERRUPT", 0.0)
    done = impasto(*line, "-o", "best.png", "--trial-size", "46")
    assert done.code == 130
    assert "the winner so far at 46 px" in done.err
    with Image.open("best.png") as painting:
        assert max(painting.size) == 46


@pytest.mark.slow
def test_a_search_that_is_killed_goes_on(start, impasto, line, tmp_path):
    run = start(*line, "--trials", "4000")
    run.wait_for(tmp_path / "tune.trials")
    pictures = tmp_path / "tune.trials"
    while len(list(pictures.iterdir())) < 3:
        assert run.process.poll() is None
    run.signal(signal.SIGKILL)
    run.end()
    before = trials_in("tune.db")
    assert before >= 2
    done = impasto(*line, "--trials", str(before + 2))
    assert f"Going on from {before} earlier trials" in done.err
    assert trials_in("tune.db") == before + 2


def test_a_language_model_that_is_not_configured_is_a_warning(impasto, line, monkeypatch):
    for name in ("IMPASTO_MODEL", "IMPASTO_MODEL_URL"):
        monkeypatch.delenv(name, raising=False)
    done = impasto(*line, "--agent", "--json")
    assert done.code == 0
    assert "No language model is configured" in done.json["warnings"][0]
    assert len(done.json["trials"]) == 4


def test_a_language_model_proposes_the_trials(impasto, line, monkeypatch):
    from chat_server import ChatServer

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = ChatServer()
    try:
        server.says = [("try_knobs", {"strength": 0.5, "why": "subtract_text"}), 500]
        flags = ("--agent", "--model", "m", "--model-url", server.url, "--json")
        told = impasto(*line, *flags).json
    finally:
        server.close()
    assert [trial["why"] for trial in told["trials"]] == ["", "subtract_text", "", ""]
    assert "HTTP 500" in told["warnings"][0]


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--budget", "soon"], "budget = 'soon'"),
        (["--budget", "0"], "budget"),
        (["--aim", "2"], "aim = 2.0 does not fit"),
        (["--trials", "0"], "trials = 0"),
        (["--trial-size", "9"], "trial_size = 9"),
        (["--strenght", "1"], "Did you mean --strength"),
        (["--structure", "1"], "adain has no --structure; gatys and deep-photo and"),
        (["-o", "best.gif"], "best.gif"),
        (["-o", "missing/best.png"], "missing"),
        (["--trial-sheet", "strip.txt"], "strip.txt"),
        (["--storage", "missing/tune.db"], "there is no folder missing"),
        (["--storage", "."], "is a folder"),
        (["-o", "a.png", "--trial-sheet", "a.png"], "a.png is named twice"),
        (["--strength", "1", "--style-size", "64"], "nothing to search"),
    ],
)
def test_what_does_not_fit_is_said_before_the_search(impasto, line, tmp_path, flags, says):
    done = impasto(*line, *flags)
    assert done.code == 2
    assert says.lower() in " ".join(done.err.split()).lower()
    assert list(tmp_path.iterdir()) == []


def test_a_budget_too_small_for_one_trial_says_how_long_one_takes(impasto, line):
    done = impasto(*line, "--budget", "10ms")
    assert done.code == 2
    assert "one trial at 56 px takes about" in done.err
    assert "Give" in done.err


def test_an_input_is_never_overwritten(impasto, line, photo, tmp_path):
    before = photo.read_bytes()
    for flag in ("-o", "--trial-sheet", "--storage"):
        done = impasto(*line, flag, photo)
        assert (done.code, photo.read_bytes()) == (2, before)


def test_a_study_that_another_run_holds_is_refused(impasto, line, tmp_path):
    from impasto.cli.lock import exclusive_run

    with exclusive_run(tmp_path / "tune.db"):
        done = impasto(*line)
    assert done.code == 2
    assert "Another run is tuning into tune.db" in done.err


def test_every_searched_knob_is_shown_as_its_flag(impasto, photo, style, models):
    flags = ["--weights", models["wct"], "--trials", "5", "--precision", "fp32"]
    done = impasto("tune", photo, style, "--method", "wct", *flags)
    rows = [row for row in done.out.splitlines() if " optuna " in row]
    kind = get_method("wct")
    names = ["--" + k.name.replace("_", "-") for k in get_knobs(kind) if k.search]
    assert rows
    assert any(name in row for row in rows for name in names)
    assert format_value((0.3, 0.6)) == "0.3,0.6"  # as it would be typed
