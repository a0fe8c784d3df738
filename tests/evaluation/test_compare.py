"""The comparison: real methods, which here paint in this process; a judge with known values."""

import contextlib
import dataclasses
import io
import json
import os
import signal
import sys

import numpy as np
import pytest
from PIL import Image

import impasto
from impasto.cli import run
from impasto.core import devices
from impasto.core.errors import InputError, KnobError, ResourceError
from impasto.engines.feedforward import base
from impasto.evaluation.comparison import candidates, compare, worker
from impasto.evaluation.comparison import plan as comparison_plan
from impasto.evaluation.comparison.result import Comparison, ComparisonRow, load_comparison
from impasto.metrics import Scores, evaluator

BOTH = "adain;wct:strength=0.5"
LABELS = ["adain", "wct strength=0.5"]


class FakeJudge:
    """Knows what every painting is worth: its mean."""

    def __init__(self, content, styles, **options):
        self.missing = {"lpips": "It lacks weights."}

    def __call__(self, result):
        mean = float(np.asarray(getattr(result, "pixels", result)).mean())
        return Scores({"ssim": mean, "gram": 1 - mean}, notes=("It was looked at.",))


class Processes:
    """What takes the place of processes: the command lines, and what shall happen to them."""

    def __init__(self):
        self.lines = []
        self.fail = {}
        self.after = {}
        self.drop = None

    def __call__(self, words, stop, told, limit=None):
        method = words[words.index("--method") + 1]
        self.lines.append(words)
        told(0.1)
        if method in self.fail:
            return self.fail[method]
        out = io.StringIO()
        words = [word for word in words if word != self.drop]
        with contextlib.redirect_stdout(out):
            code = run([*words, "--json", "-q"])
        then = self.after.get(method, lambda report: report)
        return worker.ProcessResult(code, 2.5, then(json.loads(out.getvalue())), "", False)

    @property
    def methods(self):
        return [words[words.index("--method") + 1] for words in self.lines]


@pytest.fixture
def processes(quick, monkeypatch):
    fake = Processes()
    monkeypatch.setattr(worker, "run", fake)
    monkeypatch.setattr(compare, "Evaluator", FakeJudge)
    monkeypatch.setattr(compare, "SHEET_ROW_HEIGHT_PX", 32)
    monkeypatch.setattr(base, "PROBE_SIDE_PX", 32)
    monkeypatch.setattr(devices, "has_fast_bf16", lambda device: False)
    return fake


def saved(path, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def photo(tmp_path):
    return saved(tmp_path / "photo.png", 1)


@pytest.fixture
def style(tmp_path):
    return saved(tmp_path / "style.png", 2)


@pytest.fixture
def pair(photo, style, tmp_path):
    def call(methods=BOTH, **options):
        options = {"folder": tmp_path / "out", "size": 48, **options}
        return compare.compare(photo, style, methods=methods, **options)

    return call


@pytest.fixture
def forecast(monkeypatch):
    """Has the plans forecast so many seconds, by method."""
    real = candidates.make_plan

    def say(**seconds):
        def plan(request):
            made = real(request)
            said = seconds[request.method.name]
            return dataclasses.replace(
                made, forecast=dataclasses.replace(made.forecast, seconds=said)
            )

        monkeypatch.setattr(candidates, "make_plan", plan)

    return say


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_the_folder_holds_paintings_sheet_page_and_numbers(processes, pair, tmp_path):
    found = pair()
    assert files(tmp_path / "out") == [
        "comparison.json",
        "index.html",
        "results/adain.png",
        "results/wct-strength-0.5.png",
        "sheet.png",
    ]
    assert [row.label for row in found.rows] == LABELS
    assert {row.status for row in found.rows} == {"painted"}
    assert found.finished
    with Image.open(found.contact_sheet_path) as sheet:
        assert sheet.width > sheet.height


def test_a_row_says_what_its_painting_says(processes, pair, tmp_path):
    row = pair().rows[1]
    recipe = impasto.load_recipe(tmp_path / "out" / row.file)
    assert row.knobs == recipe.knobs
    assert row.knobs["strength"] == 0.5
    assert row.seconds == 2.5
    assert row.painting_seconds == recipe.seconds
    assert row.peak_bytes == recipe.peak_bytes
    pixels = np.asarray(impasto.read(tmp_path / "out" / row.file).pixels)
    assert row.values["ssim"] == pytest.approx(pixels.mean(), abs=1e-6)


def test_the_command_of_a_row_paints_the_same_again(processes, pair, tmp_path):
    row = pair("wct:strength=0.5").rows[0]
    before = np.asarray(impasto.read(tmp_path / "out" / row.file).pixels)
    (tmp_path / "out" / row.file).unlink()
    assert row.command[0] == "impasto"
    assert run([*row.command[1:], "-q"]) == 0
    assert (np.asarray(impasto.read(tmp_path / "out" / row.file).pixels) == before).all()


def test_what_the_judge_has_to_say_is_told_once(processes, pair):
    found = pair()
    assert found.notes == ("It was looked at.",)
    assert found.missing == {"lpips": "It lacks weights."}
    assert found.report_path.read_text().count("It was looked at.") == 1


def test_what_is_kept_is_what_was_found(processes, pair, tmp_path):
    found = pair()
    assert load_comparison(tmp_path / "out") == found


def test_the_same_again_paints_nothing(processes, pair):
    first = pair()
    processes.lines.clear()
    second = pair()
    assert processes.lines == []
    assert all(row.reused for row in second.rows)
    assert [r.seconds for r in second.rows] == [r.seconds for r in first.rows]
    assert [r.values for r in second.rows] == [r.values for r in first.rows]


def test_a_method_more_paints_that_one_alone(processes, pair):
    pair("adain")
    processes.lines.clear()
    found = pair("adain,wct")
    assert processes.methods == ["wct"]
    assert [row.reused for row in found.rows] == [True, False]


def test_a_painting_that_was_not_asked_for_in_between_is_found_again(processes, pair):
    pair("adain,wct")
    assert [row.label for row in pair("adain").rows] == ["adain"]
    processes.lines.clear()
    pair("adain,wct")
    assert processes.lines == []


@pytest.mark.parametrize("change", [{"size": 40}, {"seed": 3}, {"force": True}])
def test_another_setting_paints_anew(processes, pair, change):
    pair("adain")
    processes.lines.clear()
    found = pair("adain", **change)
    assert processes.methods == ["adain"]
    assert not found.rows[0].reused


def test_a_content_that_has_changed_is_painted_anew(processes, pair, photo):
    pair("adain")
    saved(photo, 9)
    processes.lines.clear()
    pair("adain")
    assert processes.methods == ["adain"]


def test_a_failure_costs_only_its_own_row(processes, pair, tmp_path):
    processes.fail["wct"] = worker.ProcessResult(-signal.SIGKILL, 1.0, {}, "", False)
    found = pair()
    assert [row.status for row in found.rows] == ["painted", "failed"]
    assert "most likely the memory ran out" in found.rows[1].notes[0]
    assert [row.label for row in found.rows_with_image] == ["adain"]
    assert "most likely the memory ran out" in found.report_path.read_text()


def test_a_failed_painting_is_tried_again(processes, pair):
    processes.fail["wct"] = worker.ProcessResult(3, 1.0, {"error": "Too large."}, "", False)
    pair()
    processes.fail.clear()
    processes.lines.clear()
    assert {row.status for row in pair().rows} == {"painted"}
    assert processes.methods == ["wct"]


def test_ctrl_c_shows_what_is_done_and_the_same_again_goes_on(processes, pair, forecast):
    def interrupt(report):
        signal.raise_signal(signal.SIGINT)
        return report

    forecast(adain=1, wct=2)
    processes.after["adain"] = interrupt
    found = pair()
    assert not found.finished
    assert [row.label for row in found.rows] == ["adain"]
    assert found.rows[0].values
    assert "stopped before its end" in found.report_path.read_text()
    processes.after.clear()
    processes.lines.clear()
    found = pair()
    assert processes.methods == ["wct"]
    assert found.finished
    assert len(found.rows) == 2


def begin(folder, **more):
    """Make a finished painting look as if it had been stopped: no method here can be."""
    comparison = load_comparison(folder)
    row = dataclasses.replace(comparison.rows[0], status="stopped", **more)
    dataclasses.replace(comparison, rows=(row,), finished=False).save()
    return row


@pytest.fixture
def checkpoint(monkeypatch):
    """Has every painting a checkpoint of the same run."""
    monkeypatch.setattr(comparison_plan.Checkpoint, "load", lambda self: {})


def test_a_painting_that_was_begun_is_gone_on_with(processes, pair, tmp_path, checkpoint):
    pair("adain")
    before = begin(tmp_path / "out", seconds=40.0, painting_seconds=30.0, peak_bytes=10**12)
    processes.drop = "--resume"
    row = pair("adain").rows[0]
    assert processes.lines[-1][-1] == "--resume"
    assert row.status == "painted"
    assert row.seconds == 42.5
    assert row.painting_seconds > 30
    assert row.peak_bytes == before.peak_bytes
    assert "--resume" not in row.command


def test_what_a_killed_run_had_painted_counts_though_not_its_time(
    processes, pair, tmp_path, checkpoint
):
    processes.drop = "--resume"
    row = pair("adain").rows[0]
    assert row.notes == ("It was begun in an earlier run, whose share of the time is not known.",)


def test_a_painting_that_the_deadline_stopped_is_not_gone_on_with(
    processes, pair, tmp_path, checkpoint
):
    processes.drop = "--resume"
    pair("adain")
    begin(tmp_path / "out", painting_seconds=70.0, notes=("Stopped by the deadline.",))
    processes.lines.clear()
    row = pair("adain", deadline=60).rows[0]
    assert processes.lines == []
    assert (row.status, row.notes) == ("stopped", ("Stopped by the deadline.",))
    assert pair("adain", deadline=100).rows[0].status == "painted"


def test_a_run_that_was_killed_leaves_a_folder_that_can_be_gone_on_with(
    processes, pair, monkeypatch
):
    def killed(*_):
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(worker, "run", killed)
        with pytest.raises(SystemExit):
            pair("adain")
    assert pair("adain").rows[0].status == "painted"


def test_too_small_to_be_measured_is_said(processes, pair, monkeypatch):
    monkeypatch.setattr(compare, "Evaluator", evaluator.Evaluator)
    found = pair("adain", size=20)
    assert "too small" in found.notes[0]
    assert found.rows[0].status == "painted"


def test_the_shortest_comes_first_and_the_table_keeps_the_order(processes, pair, forecast):
    forecast(adain=9, wct=1)
    stages = []
    found = pair("adain,wct", callback=stages.append)
    assert processes.methods == ["wct", "adain"]
    assert [row.label for row in found.rows] == ["adain", "wct"]
    assert [s.label for s in stages] == ["wct", "wct", "adain", "adain", "measuring"]
    assert [s.fraction for s in stages] == sorted(s.fraction for s in stages)
    left = [s.remaining_seconds for s in stages]
    assert left == sorted(left, reverse=True)
    assert left[0] == pytest.approx(10 + 2 * compare.STARTUP_SECONDS)
    assert left[-1] == 0


def test_who_would_need_longer_than_the_deadline_is_left_out(processes, pair, forecast):
    forecast(adain=1, wct=90)
    found = pair("adain,wct", deadline="1m")
    assert [row.label for row in found.rows] == ["adain"]
    assert found.left_out[0].label == "wct"
    assert found.left_out[0].reason == "It would take about 90 s, and the deadline is 60 s."
    assert "the deadline is 60 s" in found.report_path.read_text()


def test_a_style_that_the_fast_network_has_not_learnt_leaves_it_out(processes, pair):
    found = pair("adain,fast")
    assert [row.label for row in found.rows] == ["adain"]
    assert [each.label for each in found.left_out] == ["fast"]
    assert "has not learnt the style 'style'" in found.left_out[0].reason


def test_a_learnt_style_by_its_name_is_for_the_fast_network_alone(processes, photo, tmp_path):
    found = compare.compare(
        photo, "starry-night", methods="adain,fast", folder=tmp_path / "out", size=48
    )
    assert [row.label for row in found.rows] == ["fast"]
    assert "--method fast has learnt" in found.left_out[0].reason


def test_a_gpu_or_memory_that_is_not_there_leaves_a_method_out(processes, pair, monkeypatch):
    real = candidates.make_plan

    def plan(request):
        if request.method.name == "wct":
            raise ResourceError("Too little memory.")
        return real(request)

    monkeypatch.setattr(candidates, "make_plan", plan)
    assert [each.reason for each in pair().left_out] == ["Too little memory."]
    monkeypatch.setattr(candidates, "make_plan", lambda request: plan(request) and None)
    with pytest.raises(ResourceError, match=r"^Too little memory\.$"):
        pair("wct")


def test_where_nothing_fits_every_reason_is_given(processes, pair, forecast):
    forecast(adain=80, wct=90)
    with pytest.raises(ResourceError, match=r"^No method fits\. adain: .* wct: "):
        pair("adain,wct", deadline=60)


def test_a_missing_style_is_said_once(processes, photo, tmp_path):
    with pytest.raises(InputError, match=r"^Cannot read .*missing\.jpg: there is no such file"):
        compare.compare(photo, tmp_path / "missing.jpg", folder=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("change", [{"size": 0}, {"seed": -1}, {"deadline": 0}, {"deadline": "x"}])
def test_a_setting_that_does_not_fit_leaves_no_trace(processes, pair, tmp_path, change):
    with pytest.raises(KnobError, match=f"{next(iter(change))} = "):
        pair(**change)
    assert not (tmp_path / "out").exists()


def test_a_folder_with_other_things_is_refused_and_left_as_it_is(processes, pair, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "index.html").write_text("mine")
    with pytest.raises(InputError, match=r"holds other things than a comparison \(index.html\)"):
        pair()
    assert files(folder) == ["index.html"]
    assert (folder / "index.html").read_text() == "mine"


@pytest.mark.parametrize("text", ["{}", "[1]", "null", "no JSON", '{"made_by": "me"}'])
def test_a_foreign_file_of_that_name_does_not_make_it_ours(processes, pair, tmp_path, text):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "comparison.json").write_text(text)
    with pytest.raises(InputError, match="holds other things"):
        pair()


def test_what_lies_beside_a_comparison_stays(processes, pair, tmp_path):
    pair("adain")
    (tmp_path / "out" / "results" / "mine.txt").write_text("mine")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    pair("adain", force=True)
    assert {"results/mine.txt", "notes.txt"} < set(files(tmp_path / "out"))


def test_a_comparison_of_other_pictures_is_not_replaced(processes, pair, photo, tmp_path):
    pair("adain")
    other = saved(tmp_path / "other.png", 5)
    with pytest.raises(InputError, match=r"holds a comparison of .*photo\.png"):
        compare.compare(photo, other, methods="adain", folder=tmp_path / "out")


def test_an_input_inside_the_folder_is_not_painted_over(processes, pair, style, tmp_path):
    pair("adain")
    content = tmp_path / "out" / "results" / "adain.png"
    before = content.read_bytes()
    comparison = load_comparison(tmp_path / "out")
    dataclasses.replace(comparison, content=str(content)).save()
    with pytest.raises(InputError, match="would be overwritten"):
        compare.compare(content, style, methods="adain", folder=tmp_path / "out")
    assert content.read_bytes() == before


def test_a_file_in_the_place_of_the_folder_is_refused(processes, pair, photo):
    with pytest.raises(InputError, match="is no folder that can be read"):
        pair(folder=photo)


def test_pictures_in_memory_are_written_and_found_again(processes, tmp_path):
    random = np.random.default_rng(0)
    content, style = random.random((2, 40, 56, 3), dtype=np.float32)
    options = {"methods": "adain", "folder": tmp_path / "out", "size": 48}
    found = compare.compare(content, style, **options)
    written = np.asarray(impasto.read(found.content).pixels)
    assert np.abs(written - content).max() < 1 / 65535
    compare.compare(content, style, **options)
    assert len(processes.lines) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="other systems know no such names")
def test_a_file_name_in_odd_bytes_is_no_obstacle(processes, style, tmp_path):
    photo = saved(tmp_path / os.fsdecode(b"caf\xe9 <b>.png"), 1)
    for _ in range(2):
        found = compare.compare(photo, style, methods="adain", folder=tmp_path / "out", size=48)
    assert found.rows[0].reused
    assert found.content == str(photo)
    assert "&lt;b&gt;" in found.report_path.read_text()


def test_the_content_as_its_own_style_is_warned_of(processes, photo, tmp_path):
    found = compare.compare(photo, photo, methods="adain", folder=tmp_path / "out", size=48)
    assert any("content picture itself" in note for note in found.rows[0].notes)


def test_a_judge_that_cannot_work_costs_no_painting(processes, pair, monkeypatch):
    def broken(*_, **__):
        raise InputError("Too small to be measured.")

    monkeypatch.setattr(compare, "Evaluator", broken)
    found = pair("adain")
    assert found.rows[0].status == "painted"
    assert found.notes == ("Nothing was measured: Too small to be measured.",)
    assert "Too small to be measured." in found.report_path.read_text()


def test_a_second_ctrl_c_keeps_the_paintings(processes, pair, monkeypatch, tmp_path):
    def twice(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(compare, "Evaluator", twice)
    with pytest.raises(KeyboardInterrupt):
        pair("adain")
    comparison = load_comparison(tmp_path / "out")
    assert [row.status for row in comparison.rows] == ["painted"]
    assert not comparison.finished


def rows(**values):
    return tuple(
        ComparisonRow(
            label, "adain", "", "painted", file="x", seconds=1.0, values={"ssim": v, "gram": v}
        )
        for label, v in values.items()
    )


def best(column, found):
    return compare.Comparison("", "", (), 1, rows=found).best_labels(column)


def test_the_best_is_the_highest_or_the_lowest_as_the_metric_wants():
    assert best("ssim", rows(one=0.2, other=0.6)) == {"other"}
    assert best("gram", rows(one=0.2, other=0.6)) == {"one"}


def test_a_tie_has_several_best():
    assert best("ssim", rows(one=0.6, other=0.6, third=0.1)) == {"one", "other"}
    assert best("seconds", rows(one=0.6, other=0.6)) == {"one", "other"}


def test_alone_nobody_is_best_and_the_stopped_do_not_count():
    assert best("ssim", rows(one=0.6)) == frozenset()
    one, other = rows(one=0.6, other=0.9)
    assert best("ssim", (one, dataclasses.replace(other, status="stopped"))) == frozenset()


@pytest.mark.parametrize(("tiles", "columns"), [(1, 1), (3, 3), (4, 4), (6, 3), (8, 4), (12, 6)])
def test_the_sheet_is_broader_than_high(tiles, columns):
    assert compare.sheet_columns(tiles) == columns


@pytest.mark.parametrize("change", [{"new": 1}, {"rows": [{"label": "x"}]}, {"rows": 3}])
def test_a_comparison_of_another_version_is_not_replaced(tmp_path, change):
    Comparison(tmp_path, "a", ("b",), 1).save()
    assert load_comparison(tmp_path) == Comparison(tmp_path, "a", ("b",), 1)
    data = json.loads((tmp_path / "comparison.json").read_text())
    (tmp_path / "comparison.json").write_text(json.dumps({**data, **change}))
    with pytest.raises(InputError, match="is of another version of Impasto, or damaged"):
        load_comparison(tmp_path)
