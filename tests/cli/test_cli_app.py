import os
import subprocess
import sys

import pytest

from impasto.cli.app import VERB_HELP


def test_help_lists_every_verb_and_loads_none(tmp_path):
    heavy = ("torch", "numpy", "pyvips", "PIL", "rich", "impasto.cli.stylize")
    loaded = f"[m for m in {heavy} if m in sys.modules]"
    report = f"import atexit, sys; atexit.register(lambda: print({loaded}))\n"
    command = "sys.argv = ['impasto', '--help']; from impasto.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", report + command], capture_output=True, text=True, check=True
    )
    *text, loaded = done.stdout.splitlines()
    assert loaded == "[]"
    for verb in VERB_HELP:
        assert any(line.split()[:1] == [verb] for line in text)


def test_the_module_is_the_command_too():
    done = subprocess.run(
        [sys.executable, "-m", "impasto", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[0] == "impasto"
    assert done.stdout.split()[1][0].isdigit()


@pytest.mark.parametrize("verb", VERB_HELP)
def test_every_verb_has_a_help(impasto, verb):
    done = impasto(verb, "--help")
    assert done.code == 0
    assert f"impasto {verb}" in done.out


def test_no_verb_at_all_shows_the_help(impasto):
    done = impasto()
    assert done.code == 2
    assert "stylize" in done.err


@pytest.mark.parametrize("name", ["stylise", "wieghts", "complete"])
def test_an_unknown_verb_suggests_the_nearest(impasto, name):
    done = impasto(name)
    meant = {"stylise": "stylize", "wieghts": "weights", "complete": "completion"}[name]
    assert done.code == 2
    assert f"Did you mean {meant}?" in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_and_how_to_install_it(impasto, shell, tmp_path):
    done = impasto("completion", shell)
    assert done.code == 0
    assert done.out.startswith("# To install: ")
    assert "_IMPASTO_COMPLETE" in done.out
    if shell == "bash":
        script = tmp_path / "complete.sh"
        script.write_text(done.out)
        subprocess.run(["bash", "-n", str(script)], check=True)
        subprocess.run(["bash", "--norc", "-c", f". {script}"], check=True)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("impasto st", {"stylize", "study"}),
        ("impasto stylize --method g", {"gatys"}),
        ("impasto stylize --style-lo", {"--style-loss"}),
        ("impasto stylize --style-lay", {"--style-layers", "--style-layer-weights"}),
        ("impasto stylize --style-loss w", {"wasserstein"}),
        ("impasto stylize --encoder com", {"compact"}),
        ("impasto stylize --weights o", {"oxford"}),
        ("impasto methods g", {"gatys"}),
        ("impasto weights get t", {"torchvision"}),
        ("impasto stylize --method nonsense --si", {"--size"}),
    ],
)
def test_verbs_methods_knobs_and_choices_complete(impasto, monkeypatch, line, expected):
    words = line.split()
    monkeypatch.setenv("_IMPASTO_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    found = {item.partition(",")[2] for item in impasto().out.splitlines()}
    assert found == expected


def test_a_reader_who_leaves_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "impasto", "completion", "zsh"],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert done.stderr == ""


def test_methods_are_listed_and_explained(impasto):
    assert "gatys" in impasto("methods").out
    text = impasto("methods", "gatys").out
    assert "--style-layers" in text
    assert "Gatys, Ecker, Bethge" in text
    listed = impasto("methods", "--json").json
    explained = impasto("methods", "gatys", "--json").json
    assert explained in listed
    assert {"steps", "strength", "structure"} <= {knob["name"] for knob in explained["knobs"]}
    assert "Did you mean gatys?" in impasto("methods", "gatis").err
