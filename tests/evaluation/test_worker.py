"""A painting in a process of its own, with a small program in the place of Python."""

import os
import signal
import sys
import time

import pytest

from impasto.core.interrupt import InterruptHandler
from impasto.evaluation.comparison import worker

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a shell script as the program")


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Puts a shell script in the place of Python."""

    def put(script):
        path = tmp_path / "program"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))

    return put


def carry_out(told=lambda seconds: None, limit=None):
    with InterruptHandler() as stop:
        return worker.run(["stylize"], stop, told, limit)


def test_the_last_line_of_json_is_the_report(program):
    program("""echo noise; echo "{\\"output\\": \\"$3 $4 $5\\"}" """)
    outcome = carry_out()
    assert (outcome.exit_code, outcome.stopped) == (0, False)
    assert outcome.report == {"output": "stylize --json -q"}


def test_what_a_long_program_writes_is_read_while_it_runs(program):
    program("head -c 300000 /dev/zero | tr '\\0' 'x'; echo; echo '{\"a\": 1}'")
    assert carry_out().report == {"a": 1}


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("kill -9 $$", "The system ended it (SIGKILL); most likely the memory ran out."),
        ("exit 137", "The system ended it (SIGKILL); most likely the memory ran out."),
        ("kill -SEGV $$", "The system ended it (SIGSEGV)."),
        ("echo broken >&2; exit 7", "It ended with the exit code 7. broken"),
        ('echo \'{"error": "Too large."}\'; exit 3', "Too large."),
        ("echo '[1]'; exit 1", "It ended with the exit code 1."),
    ],
)
def test_a_failure_has_a_reason(program, script, says):
    program(script)
    assert carry_out().reason == says


SAVES = """
trap 'echo "{\\"recipe\\": \\"so far\\"}"; exit 130' INT
touch "$0.ready"
while :; do sleep 0.02; done
"""


def once_ready(tmp_path, then):
    done = []

    def told(seconds):
        if (tmp_path / "program.ready").exists() and not done:
            done.append(then())

    return told


def test_ctrl_c_lets_it_save_what_it_has(program, tmp_path):
    program(SAVES)
    told = once_ready(tmp_path, lambda: signal.raise_signal(signal.SIGINT))
    outcome = carry_out(told)
    assert (outcome.exit_code, outcome.stopped) == (130, True)
    assert outcome.report == {"recipe": "so far"}


def test_a_limit_lets_it_save_what_it_has(program):
    program(SAVES)
    outcome = carry_out(limit=1.0)
    assert (outcome.exit_code, outcome.stopped) == (130, True)
    assert outcome.report == {"recipe": "so far"}


def test_who_does_not_stop_is_ended(program, monkeypatch):
    program("trap '' INT; while :; do sleep 0.02; done")
    monkeypatch.setattr(worker, "STOP_TIMEOUT_SECONDS", 0.3)
    outcome = carry_out(limit=0.3)
    assert outcome.exit_code == -signal.SIGKILL


def test_a_second_ctrl_c_ends_it_at_once(program, tmp_path):
    program("trap '' INT\n" + 'echo $$ > "$0.pid"; touch "$0.ready"; while :; do sleep 0.02; done')

    def twice():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        carry_out(once_ready(tmp_path, twice))
    number = int((tmp_path / "program.pid").read_text())
    for _ in range(100):
        try:
            os.kill(number, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    pytest.fail("the process is still there")


def test_a_module_beside_the_pictures_is_not_run(tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong module')")
    monkeypatch.chdir(tmp_path)
    with InterruptHandler() as stop:
        outcome = worker.run(["stylize"], stop, lambda seconds: None)
    assert outcome.exit_code == 2
    assert "Missing argument" in outcome.reason
