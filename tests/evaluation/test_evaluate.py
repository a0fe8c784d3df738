"""Measuring sets: what is matched, what is left out, and what the rows and means say."""

import csv
import io
import json
import math

import numpy as np
import pytest
from PIL import Image

import impasto
from impasto.core.errors import InputError, KnobError
from impasto.evaluation.bootstrap import bootstrap_mean
from impasto.evaluation.evaluate import evaluate, evaluate_from_recipes
from impasto.metrics.evaluator import Evaluator

QUICK = ("ssim", "edges", "noise")
"""Metrics without a network."""


def pixels(seed, height=48, width=64):
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def save(path, seed, **size):
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels(seed, **size)).save(path)
    return path


@pytest.fixture
def folders(tmp_path):
    """Two contents, two styles, the four results and one that belongs to nothing."""
    for k, name in enumerate(("canal", "lake")):
        save(tmp_path / "contents" / f"{name}.png", k)
    for k, name in enumerate(("scream", "wave")):
        save(tmp_path / "styles" / f"{name}.png", 10 + k)
    for k, name in enumerate(("canal-scream", "canal-wave", "lake-scream", "lake-wave")):
        save(tmp_path / "results" / f"{name}.png", 20 + k)
    save(tmp_path / "results" / "tower-wave.png", 30)
    return [tmp_path / name for name in ("contents", "styles", "results")]


def test_results_of_folders_are_measured_against_their_own_pair(folders):
    found = evaluate(*folders, metrics=QUICK)
    assert len(found.rows) == found.pair_count == 4
    contents = {k: impasto.read(folders[0] / f"{k}.png") for k in ("canal", "lake")}
    styles = {k: impasto.read(folders[1] / f"{k}.png") for k in ("scream", "wave")}
    for row in found.rows:
        content, style = row.result.rsplit("/")[-1].removesuffix(".png").split("-")
        assert row.content == str(folders[0] / f"{content}.png")
        assert row.style == str(folders[1] / f"{style}.png")
        judge = Evaluator(contents[content], [styles[style]], metrics=QUICK)
        assert row.scores.values == judge(impasto.read(row.result)).values


def test_what_does_not_match_is_left_out_and_named(folders):
    save(folders[0] / "hut.png", 40)
    left_out = evaluate(*folders, metrics=["ssim"]).left_out
    assert {key.rsplit("/")[-1] for key in left_out} == {"tower-wave.png", "hut.png"}


def test_if_nothing_matches_all_sides_are_listed(folders, tmp_path):
    other = save(tmp_path / "other" / "chapel.png", 50).parent
    with pytest.raises(InputError, match=r"do not match up.*chapel\.png.*canal\.png.*scream\.png"):
        evaluate(folders[0], folders[1], other)


def test_a_result_that_cannot_be_measured_is_left_out_with_the_reason(folders):
    save(folders[2] / "canal-wave.png", 1, height=64, width=48)
    (folders[2] / "lake-wave.png").write_bytes(b"no picture")
    found = evaluate(*folders, metrics=["ssim"])
    assert len(found.rows) == 2
    reasons = {key.rsplit("/")[-1]: why for key, why in found.left_out.items()}
    assert "another shape" in reasons["canal-wave.png"]
    assert "Cannot read" in reasons["lake-wave.png"]


def test_if_none_can_be_measured_it_is_an_error_with_the_reasons(folders, tmp_path):
    wrong = [save(tmp_path / f"{k}.png", k, height=64, width=48) for k in range(2)]
    content, style = folders[0] / "canal.png", folders[1] / "wave.png"
    with pytest.raises(InputError, match=r"Nothing could be measured.*another shape"):
        evaluate(content, style, wrong, metrics=["ssim"])
    with pytest.raises(InputError, match=r"0\.png is 48 x 64"):
        evaluate(content, style, wrong[0], metrics=["ssim"])


def test_a_file_that_is_not_there_is_named_before_the_work(folders):
    content, style = folders[0] / "canal.png", folders[1] / "wave.png"
    with pytest.raises(InputError, match=r"There is no file .*gone\.png"):
        evaluate(content, style, [content, folders[2] / "gone.png"])
    with pytest.raises(InputError, match="No result"):
        evaluate(content, style, [])


def test_rows_keep_the_order_in_which_results_were_given(folders):
    files = sorted(folders[2].glob("*-*.png"))[::-1]
    found = evaluate(folders[0], folders[1], [f for f in files if "tower" not in f.name],
                     metrics=["ssim"])  # fmt: skip
    assert [row.result for row in found.rows] == [str(f) for f in files if "tower" not in f.name]


def test_sets_have_means_of_their_own(folders, tmp_path):
    other = tmp_path / "other"
    for k, name in enumerate(("canal-scream", "lake-wave")):
        save(other / f"{name}.png", 60 + k)
    found = evaluate(folders[0], folders[1], [folders[2], other], metrics=QUICK)
    means = found.means()
    assert list(means) == [str(folders[2]), str(other)]
    for each, of in means.items():
        column = [row.scores.values["ssim"] for row in found.rows if row.folder == each]
        assert of["ssim"] == bootstrap_mean(column)
    assert [of["ssim"].count for of in means.values()] == [4, 2]


def test_pictures_in_memory_are_measured_too(folders):
    content, style, result = (pixels(k) for k in (0, 1, 2))
    found = evaluate(content, style, [result, Image.fromarray(result)], metrics=QUICK)
    assert [row.result for row in found.rows] == ["result 1", "result 2"]
    assert found.rows[0].scores.values == found.rows[1].scores.values
    assert (found.rows[0].content, found.rows[0].style) == ("the content", "style 1")


def test_several_styles_are_a_blend(folders):
    styles = [impasto.read(folders[1] / f"{name}.png") for name in ("scream", "wave")]
    content = impasto.read(folders[0] / "canal.png")
    found = evaluate(content, styles, pixels(3), style_weights=(1, 2), metrics=["style_error"])
    wanted = Evaluator(content, styles, style_weights=(1, 2), metrics=["style_error"])
    assert found.rows[0].scores.values == wanted(pixels(3).astype(np.float32) / 255).values
    assert found.rows[0].style.endswith("scream.png + " + str(folders[1] / "wave.png"))
    with pytest.raises(InputError, match="A blend is made of single pictures"):
        evaluate(content, [folders[1], styles[0]], pixels(3))


def test_a_wrong_setting_is_no_reason_to_leave_pictures_out(folders):
    with pytest.raises(KnobError, match="no metric"):
        evaluate(*folders, metrics=["beauty"])


def test_the_data_are_json_and_explain_every_metric(folders):
    found = evaluate(*folders, metrics=QUICK)
    data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert set(data["metrics"]) == set(QUICK)
    assert data["metrics"]["ssim"]["better"] == "higher"
    assert data["metrics"]["noise"]["source"]
    assert data["rows"][0]["scores"] == pytest.approx(dict(found.rows[0].scores.values))
    assert data["means"][0]["scores"]["ssim"]["count"] == 4


def test_the_csv_has_a_line_for_each_result(folders):
    found = evaluate(*folders, metrics=QUICK)
    rows = list(csv.DictReader(io.StringIO(found.to_csv())))
    assert [row["result"] for row in rows] == [row.result for row in found.rows]
    for text, row in zip(rows, found.rows, strict=True):
        assert {m: float(text[m]) for m in QUICK} == row.scores.values


def test_a_figure_without_meaning_is_an_empty_cell(tmp_path):
    same, other = pixels(1), pixels(2)
    found = evaluate(same, same, [other], metrics=["ssim", "style_error"])
    assert found.metrics == ("ssim",)
    assert "style_error" not in found.to_csv()


def test_every_result_is_told(folders):
    seen = []
    evaluate(*folders, metrics=["ssim"], callback=lambda done, count: seen.append((done, count)))
    assert seen == [(k, 4) for k in range(1, 5)]


@pytest.fixture
def painted(quick, tmp_path):
    """A painting with its recipe, and what impasto.stylize returned."""
    content, style = save(tmp_path / "canal.png", 0), save(tmp_path / "wave.png", 1)
    result = impasto.stylize(content, style, method="gatys", steps=2, precision="fp32")
    result.save(tmp_path / "painting.png")
    return tmp_path, result


def test_what_stylize_returned_can_be_measured_as_it_is(painted):
    folder, result = painted
    found = evaluate(folder / "canal.png", folder / "wave.png", result, metrics=["ssim"])
    assert math.isfinite(found.rows[0].scores.values["ssim"])


def test_a_painting_is_measured_against_what_its_recipe_says(painted):
    folder, _ = painted
    alone = evaluate_from_recipes(folder / "painting.png", metrics=QUICK)
    named = evaluate(
        folder / "canal.png", folder / "wave.png", folder / "painting.png", metrics=QUICK
    )
    assert alone.rows[0].scores.values == named.rows[0].scores.values
    assert alone.rows[0].content == str(folder / "canal.png")


def test_a_painting_whose_content_is_gone_or_changed_is_not_measured(painted):
    folder, _ = painted
    save(folder / "canal.png", 7)
    with pytest.raises(InputError, match="not to be found unchanged"):
        evaluate_from_recipes(folder / "painting.png")


def test_a_picture_without_a_recipe_needs_its_content_and_style_named(tmp_path):
    with pytest.raises(InputError, match="holds no recipe"):
        evaluate_from_recipes(save(tmp_path / "plain.png", 0))


def test_a_style_that_the_recipe_only_names_is_not_guessed(tmp_path, models, quick):
    content = save(tmp_path / "canal.png", 0)
    made = impasto.stylize(content, "red-lines", method="fast", weights=str(models["fast"]))
    made.save(tmp_path / "painting.png")
    with pytest.raises(InputError, match=r"by fast.*give content, style and painting"):
        evaluate_from_recipes(tmp_path / "painting.png")
