"""A language model that proposes trials, asked over real HTTP: good ones, and all the others."""

import json
import signal
import threading
import time

import pytest
from toy import Heard, toy_tuning

from impasto.advise.llm import connect
from impasto.advise.tune import llm_sampler
from impasto.advise.tune.llm_sampler import connect_or_warn


def attempt(**knobs):
    return ("try_knobs", knobs)


FINISH = ("finish", {"reason": "Nothing more is to be gained."})
ME = "m at 127.0.0.1"


@pytest.fixture
def tuned(server):
    """Tunes the toy with a model that says these things in turn, the last of them for ever."""

    def run(*says, heard=None, **settings):
        server.says = list(says)
        heard = heard or Heard()
        model = connect("m", server.url)
        tuning = toy_tuning(model=model, callback=heard, **{"trials": 6, **settings})
        return tuning, heard

    return run


def proposed(tuning):
    """Who proposed the trials, without ports."""
    return [trial.by.rpartition(":")[0] or trial.by for trial in tuning.trials]


def answers(server, request=-1):
    """What the tools answered, up to a request."""
    return [m["content"] for m in server.asked[request]["messages"] if m["role"] == "tool"]


def test_a_model_proposes_the_trials_until_it_finishes(tuned):
    says = [attempt(strength=0.5, shade=0, why="less of both"), attempt(shade=0.1), FINISH]
    tuning, heard = tuned(*says)
    assert proposed(tuning) == ["defaults", ME, ME]
    first, second = tuning.trials[1:]
    assert (first.knobs["strength"], first.knobs["shade"]) == (0.5, 0.0)
    assert (second.knobs["strength"], second.knobs["shade"]) == (1.0, 0.1)
    assert (first.why, second.why) == ("less of both", "")
    assert heard.warned == []
    assert "Nothing more is to be gained." in heard.said[-1]


def test_it_is_told_the_knobs_the_errors_and_shown_the_pictures(tuned, server):
    tuning, _ = tuned(attempt(strength=0.5, shade=0), FINISH)
    tools = {t["function"]["name"]: t["function"]["parameters"] for t in server.asked[0]["tools"]}
    assert set(tools) == {"try_knobs", "list_trials", "finish"}
    knobs = tools["try_knobs"]["properties"]
    assert set(knobs) == {"strength", "shade", "grain", "why"}
    assert knobs["strength"]["type"] == "number"
    assert knobs["grain"]["enum"] == ["none", "odd"]
    assert "0.1 to 1" in knobs["strength"]["description"]
    told = json.loads(answers(server)[0])
    assert told["style_error"] == round(tuning.trials[1].style_error, 4)
    assert told["content_error"] == round(tuning.trials[1].content_error, 4)
    assert len(server.pictures(0)) == 3  # content, style, the defaults
    assert len(server.pictures(1)) == 4
    assert server.pictures(1)[-1].size == (64, 48)


def test_it_can_list_the_trials(tuned, server):
    tuned(attempt(strength=0.5, shade=0), ("list_trials", {}), FINISH)
    lines = [json.loads(line) for line in answers(server)[1].splitlines()]
    assert {line["trial"] for line in lines} == {0, 1}
    assert [line["score"] for line in lines] == sorted(line["score"] for line in lines)


@pytest.mark.parametrize(
    ("knobs", "says"),
    [
        ({"strenght": 0.5}, "Did you mean strength?"),
        ({"steps": 10**6}, "'steps' is not searched"),
        ({"strength": "much"}, "it must be a finite number"),
        ({"strength": 7}, "it must be 0 to 1"),
        ({"strength": None}, "it must be a finite number"),
        ({"strength": [0.5]}, "it must be a finite number"),
        ({"grain": "fine"}, "one of none, odd"),
        ({"grain": "odd", "shade": 0}, "goes with a shade of 0.2"),
    ],
)
def test_a_proposal_that_does_not_fit_is_answered_with_the_knobs_own_message(
    tuned, server, knobs, says
):
    tuning, heard = tuned(attempt(**knobs), attempt(strength=0.5, shade=0), FINISH)
    assert says in answers(server)[0]
    assert proposed(tuning) == ["defaults", ME]
    assert heard.warned == []


def test_a_value_outside_of_what_is_searched_is_tried_if_the_knob_takes_it(tuned):
    tuning, _ = tuned(attempt(strength=0.05, shade=0.9), FINISH)
    assert (tuning.trials[1].knobs["strength"], tuning.trials[1].knobs["shade"]) == (0.05, 0.9)


def test_a_held_knob_is_not_offered(tuned, server):
    tuned(attempt(shade=0.1), FINISH, strength=0.7)
    assert "strength" not in server.asked[0]["tools"][0]["function"]["parameters"]["properties"]
    assert '"strength": 0.7' in server.asked[0]["messages"][1]["content"][0]["text"]


@pytest.mark.parametrize(
    ("says", "warns"),
    [
        pytest.param([500], "HTTP 500", id="a server with an error"),
        pytest.param([401], "does not take the key", id="a wrong key"),
        pytest.param([404], "check the model's name", id="a wrong name"),
        pytest.param([b"<html>"], "could not be asked", id="no JSON"),
        pytest.param([b'{"ok": true}'], "", id="other JSON"),
        pytest.param(["I like it bold."], "did not answer in the form", id="only talk"),
        pytest.param([("paint", {})], "did not answer in the form", id="a tool that is not there"),
        pytest.param([("finish", {"reason": 5})], "did not answer in the form", id="a bad finish"),
        pytest.param(["refuse"], "refuses", id="a refusal"),
        pytest.param(["filter"], "refuses", id="a filter"),
        pytest.param([attempt(strength=7)], "round in circles", id="the same mistake for ever"),
        pytest.param([("list_trials", {})], "round in circles", id="only looking"),
        pytest.param([FINISH], "finished without a trial that beats", id="at once content"),
    ],
)
def test_whatever_goes_wrong_is_one_sentence_and_optuna_makes_the_trials(tuned, says, warns):
    tuning, heard = tuned(*says)
    assert proposed(tuning) == ["defaults", "known good", "optuna", "optuna", "optuna", "optuna"]
    (warned,) = heard.warned
    assert warns in warned
    assert "Optuna goes on" in warned
    assert "\n" not in warned


def test_the_trials_before_a_failure_are_kept(tuned):
    tuning, heard = tuned(attempt(shade=0.1), attempt(shade=0.2), 500)
    assert proposed(tuning) == ["defaults", ME, ME, "known good", "optuna", "optuna"]
    assert "the 3 trials so far" in heard.warned[0]


def test_trying_the_same_again_and_again_ends_in_optuna(tuned):
    tuning, heard = tuned(attempt(shade=0.1))
    assert proposed(tuning) == ["defaults", ME, "known good", "optuna", "optuna", "optuna"]
    assert "tried nothing new" in heard.warned[0]


def test_a_model_that_does_not_answer_is_not_waited_for_long(tuned, monkeypatch):
    monkeypatch.setattr(llm_sampler, "MIN_TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr(llm_sampler, "MAX_ANSWER_BUDGET_FRACTION", 0.0)
    tuning, heard = tuned("slow")
    assert len(tuning.trials) == 6
    assert "gave no answer in 0.2 s" in heard.warned[0]


def test_a_server_that_is_down_is_one_sentence_too(unset):
    heard = Heard()
    model = connect("m", "http://127.0.0.1:9/v1")
    tuning = toy_tuning(model=model, callback=heard, trials=4)
    assert len(tuning.trials) == 4
    assert "cannot be reached" in heard.warned[0]


def test_a_model_that_cannot_see_is_asked_again_without_pictures(tuned, server):
    tuning, heard = tuned(400, attempt(strength=0.5, shade=0), FINISH)
    assert proposed(tuning) == ["defaults", ME]
    assert heard.warned == []
    assert len(server.pictures(0)) == 3
    assert [len(server.pictures(request)) for request in (1, 2)] == [0, 0]


def test_a_model_makes_no_more_trials_than_asked_for(tuned):
    says = [attempt(strength=round(0.9 - n / 100, 2)) for n in range(20)]
    tuning, heard = tuned(*says, trials=5)
    assert proposed(tuning) == ["defaults", ME, ME, ME, ME]
    assert heard.warned == []


def test_a_model_has_the_same_budget(tuned, monkeypatch):
    from impasto.advise.tune.objective import Objective

    forecast = Objective.seconds
    monkeypatch.setattr(
        Objective, "seconds", lambda self: 1000.0 if len(self._seconds) > 3 else forecast(self)
    )
    tuning, heard = tuned(*[attempt(strength=round(0.9 - n / 100, 2)) for n in range(20)])
    assert proposed(tuning) == ["defaults", ME, ME]
    assert heard.warned == []


def test_ctrl_c_while_a_model_thinks_keeps_what_there_is(tuned, server):
    def press():
        while not server.asked:
            time.sleep(0.01)
        signal.raise_signal(signal.SIGINT)

    hand = threading.Thread(target=press)
    hand.start()
    tuning, _ = tuned("slow", trials=50)
    hand.join()
    assert tuning.is_interrupted
    assert proposed(tuning) == ["defaults"]


def test_the_best_of_a_models_drafts_are_painted_again(tuned, server):
    tuning, _ = tuned(attempt(shade=0.0), attempt(shade=0.1), FINISH, trial_size=48)
    assert {trial.number for trial in tuning.finals} == {0, 1, 2}
    assert {trial.by.rpartition(":")[0] for trial in tuning.finals[1:]} == {ME}
    assert "These trials are drafts" in server.asked[0]["messages"][1]["content"][0]["text"]


def test_without_a_model_reach_says_what_to_do(unset):
    heard = Heard()
    assert connect_or_warn("", "", heard) is None
    assert "name one with --model" in heard.warned[0]


def test_a_model_that_cannot_work_is_a_warning(unset):
    heard = Heard()
    assert connect_or_warn("gpt-5", "ftp://example.org", heard) is None
    assert "must begin with http" in heard.warned[0]
    assert "Optuna proposes the trials." in heard.warned[0]


def test_a_missing_extra_is_a_warning_with_the_install_line(unset, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pydantic_ai", None)
    heard = Heard()
    assert connect_or_warn("m", "http://127.0.0.1:9/v1", heard) is None
    assert 'pip install "impasto[agent]"' in heard.warned[0]
