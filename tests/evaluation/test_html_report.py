"""The page: read as HTML, and seen in a real browser."""

import base64
import io
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from impasto.evaluation.comparison import html_report
from impasto.evaluation.comparison.result import Comparison, ComparisonRow, ExcludedMethod

NASTY = "<img src=x onerror=\"document.title='hit'\">' {{ 7*7 }} & \udcff.jpg"
STAINED = "<script>document.title='hit'</script>"


def picture(color, height=40, width=60):
    return np.broadcast_to(np.float32(color), (height, width, 3)).copy()


def row(label, ssim, gram, seconds, **more):
    return ComparisonRow(
        label,
        "adain",
        "Any style at once",
        "painted",
        file="results/painting.png",
        seconds=seconds,
        painting_seconds=seconds / 10,
        peak_bytes=int(seconds * 1e8),
        values={"ssim": ssim, "gram": gram},
        knobs={"strength": 0.75, "levels": (1, 2), "tiles": None, "smooth": True},
        command=("impasto", "stylize", "a b.jpg", "it's.jpg"),
        **more,
    )


RED, GREEN, BLUE, WHITE = (0.8, 0, 0), (0, 0.8, 0), (0, 0, 0.8), (1, 1, 1)
ROWS = (row("slow", 0.61, 0.3, 125.0), row("quick", 0.5, 0.7, 0.5))
PAINTINGS = {"slow": picture(RED), "quick": picture(GREEN)}
WHOLE = Comparison(
    Path("out"),
    "photos/canal.jpg",
    ("starry.jpg",),
    60,
    rows=ROWS,
    unpainted={"ssim": 1.0, "gram": 1.0},
)


def rendered(comparison=WHOLE, paintings=PAINTINGS):
    styles = [picture(BLUE) for _ in comparison.styles]
    return html_report.render_comparison(comparison, picture(WHITE), styles, paintings)


class Reader(HTMLParser):
    """Every element with its attributes, and the text."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text, self.inside = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.inside.append(tag)

    def handle_endtag(self, tag):
        self.inside.pop(len(self.inside) - 1 - self.inside[::-1].index(tag))

    def handle_data(self, data):
        if self.inside and self.inside[-1] not in ("script", "style"):
            self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


def changed(**more):
    return Comparison(**{**vars(WHOLE), **more})


def test_everything_can_be_read_without_a_script():
    words = Reader(rendered()).words
    for text in ("canal after starry", "slow", "quick", "0.610", "0.300", "2 min 5 s", "500 ms"):
        assert text in words
    assert "impasto stylize 'a b.jpg' 'it'\"'\"'s.jpg'" in words
    assert "strength 0.75 levels 1, 2 tiles unset smooth yes" in words
    assert "Wang, Bovik, Sheikh" in words


def test_the_pictures_are_inside():
    sources = [a["src"] for tag, a in Reader(rendered()).elements if tag == "img"]
    assert len(sources) == 4
    for source, color in zip(sources, (WHITE, BLUE, RED, GREEN), strict=True):
        head, _, data = source.partition(",")
        assert head == "data:image/webp;base64"
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            assert image.size == (60, 40)
            seen = np.asarray(image.convert("RGB"))[20, 30] / 255
        assert np.abs(seen - color).max() < 0.05


def test_every_picture_says_what_it_is():
    alts = [a["alt"] for tag, a in Reader(rendered()).elements if tag == "img"]
    assert alts == ["The content", "The style", "Painted by slow", "Painted by quick"]


def test_nothing_is_fetched_from_elsewhere():
    text = rendered()
    reader = Reader(text)
    links = [v for _, a in reader.elements for k, v in a.items() if k in ("src", "href", "srcset")]
    assert all(re.match(r"data:image/webp;base64,|#|[\w/.-]+$", link) for link in links), links
    assert not any(tag in ("link", "iframe", "object") for tag, _ in reader.elements)
    assert not re.search(r"@import|url\(|https?:|fetch\(|XMLHttp", text)
    (policy,) = [a["content"] for _, a in reader.elements if "http-equiv" in a]
    assert policy.startswith("default-src 'none'; img-src data:;")


@pytest.mark.parametrize("nasty", [NASTY, STAINED])
def test_whatever_comes_from_outside_is_escaped(nasty):
    stained = changed(
        content=nasty,
        styles=(nasty, nasty),
        text=nasty,
        rows=(
            row(nasty, 0.6, 0.3, 1.0, notes=(nasty,)),
            ComparisonRow(nasty + "2", "adain", nasty, "failed", notes=(nasty,), command=(nasty,)),
        ),
        left_out=(ExcludedMethod(nasty, nasty),),
        missing={"lpips": nasty},
        notes=(nasty,),
    )
    text = rendered(stained, {nasty: picture(RED)})
    plain = Reader(rendered(changed(left_out=(ExcludedMethod("a", "b"),), notes=("c",))))
    reader = Reader(text)
    kinds = {tag for tag, _ in reader.elements}
    assert kinds - {"small"} <= {tag for tag, _ in plain.elements}
    assert sum(tag == "script" for tag, _ in reader.elements) == 1
    assert not any(k.startswith("on") for _, a in reader.elements for k in a)
    assert not any(a.get("src") == "x" for _, a in reader.elements)
    assert " ".join(nasty.split()) in reader.words


def test_the_best_of_a_column_is_marked():
    cells = re.findall(r'<td[^>]*class="best">([^<]*)<', rendered())
    assert cells == ["0.610", "0.300", "500 ms", "50 ms", "50 MB"]


def test_a_failed_method_says_why_and_has_no_picture():
    failed = ComparisonRow("wct", "wct", "Title", "failed", notes=("The memory ran out.",))
    reader = Reader(rendered(changed(rows=(*ROWS, failed))))
    assert sum(tag == "img" for tag, _ in reader.elements) == 4
    assert "No painting wct Title The memory ran out." in reader.words


def test_what_is_missing_and_left_out_is_told():
    lack = "It lacks weights; fetch them."
    told = changed(
        missing={"lpips": lack, "content_error": lack, "leak": "CLIP is not here."},
        left_out=(ExcludedMethod("fast", "It has not learnt that style."),),
    )
    words = Reader(rendered(told)).words
    assert f"Not measured: LPIPS and content error. {lack}" in words
    assert "CLIP is not here." in words
    assert "Left out fast It has not learnt that style." in words


def test_nothing_measured_still_makes_a_page():
    bare = changed(
        rows=(ComparisonRow("adain", "adain", "t", "failed", notes=("Broken.",)),), unpainted={}
    )
    words = Reader(rendered(bare, {})).words
    assert "Broken." in words
    assert "Style against content" not in words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0004, "1 ms"), (0.9, "900 ms"), (0.9996, "1.0 s"), (9.9499, "9.9 s"), (9.96, "10 s"),
     (59.4, "59 s"), (59.6, "1 min"), (3725, "1 h 2 min")],
)  # fmt: skip
def test_times_are_said_in_two_or_three_digits(seconds, words):
    assert html_report.format_time(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"), [(80e6, "80 MB"), (999e6, "999 MB"), (1.336e9, "1.34 GB")]
)
def test_memory_is_said_in_decimal_units(count, words):
    assert html_report.format_bytes(count) == words


def test_the_values_of_a_column_have_as_many_decimals():
    rows = (row("one", 0.0123, 12.3, 1.0), row("other", 0.1, 0.001, 1.0))
    lines = html_report.comparison_table(changed(rows=rows))["lines"]
    texts = [[cell["text"] for cell in line["cells"][3:]] for line in lines]
    assert texts == [["0.012", "12.3"], ["0.100", "0.0"]]


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as tool:
        started = tool.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def seen(browser, tmp_path):
    """Opens a page, and holds what went wrong in it and what it asked for."""

    def call(text, width=1280, **options):
        path = tmp_path / "index.html"
        path.write_bytes(text.encode("utf-8", "replace"))
        tab = browser.new_page(viewport={"width": width, "height": 900}, **options)
        tab.asked, tab.wrong = [], []
        tab.on("request", lambda request: tab.asked.append(request.url))
        tab.on("pageerror", lambda error: tab.wrong.append(str(error)))
        tab.on("console", lambda message: tab.wrong.append(message.text))
        tab.goto(path.as_uri())
        return tab

    return call


def order(tab):
    return [each.strip() for each in tab.locator("tbody th").all_inner_texts()]


def test_a_browser_asks_for_nothing_but_the_page(seen):
    tab = seen(rendered())
    outside = [url for url in tab.asked if not url.startswith(("file:", "data:"))]
    assert outside == []
    assert len([url for url in tab.asked if url.startswith("file:")]) == 1
    assert tab.wrong == []


def test_a_nasty_file_name_does_nothing_in_a_browser(seen):
    stained = changed(content=NASTY, styles=(NASTY,), rows=(row(STAINED, 0.6, 0.3, 1.0),))
    tab = seen(rendered(stained, {STAINED: picture(RED)}))
    tab.wait_for_timeout(50)
    assert tab.title() != "hit"
    assert tab.wrong == []


def test_a_click_on_a_head_sorts_and_a_second_one_turns_it_round(seen):
    tab = seen(rendered())
    assert order(tab) == ["slow", "quick"]
    head = tab.get_by_role("button", name="command")
    head.click()
    assert order(tab) == ["quick", "slow"]
    head.press("Enter")
    assert order(tab) == ["slow", "quick"]
    assert tab.locator("thead th[aria-sort=descending]").count() == 1


def test_what_failed_stays_last(seen):
    failed = ComparisonRow("broken", "wct", "Title", "failed", notes=("No.",))
    tab = seen(rendered(changed(rows=(failed, *ROWS))))
    head = tab.get_by_role("button", name="SSIM")
    for expected in (["quick", "slow"], ["slow", "quick"]):
        head.click()
        assert [name.split()[0] for name in order(tab)] == [*expected, "broken"]


def color_at(tab, frame, share):
    """The color of the screen at a share of a frame's width, at a quarter of its height."""
    frame.scroll_into_view_if_needed()
    box = frame.bounding_box()
    shot = Image.open(io.BytesIO(tab.screenshot()))
    at = int(box["x"] + share * box["width"]), int(box["y"] + box["height"] / 4)
    return np.asarray(shot.convert("RGB"))[at[1], at[0]] / 255


def test_the_content_is_drawn_over_a_painting_by_dragging(seen):
    tab = seen(rendered())
    frame = tab.locator(".frame").first
    assert np.abs(color_at(tab, frame, 0.3) - RED).max() < 0.05
    box = frame.bounding_box()
    tab.mouse.move(box["x"] + 5, box["y"] + 20)
    tab.mouse.down()
    tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    tab.mouse.up()
    assert np.abs(color_at(tab, frame, 0.3) - WHITE).max() < 0.05
    assert np.abs(color_at(tab, frame, 0.7) - RED).max() < 0.05


def test_the_keys_do_the_same_and_another_painting_can_lie_above(seen):
    tab = seen(rendered())
    tab.get_by_role("combobox").select_option("quick")
    slider = tab.get_by_role("slider", name="How much of quick lies over slow")
    slider.press("End")
    frame = tab.locator(".frame").first
    assert np.abs(color_at(tab, frame, 0.7) - GREEN).max() < 0.05
    slider.press("Home")
    assert np.abs(color_at(tab, frame, 0.3) - RED).max() < 0.05


@pytest.mark.parametrize("width", [320, 390, 768])
def test_a_narrow_screen_need_not_be_pushed_sideways(seen, width):
    long = row("gatys structure=0.9 style_layers=conv1_1,conv2_1,conv3_1,conv4_1", 0.6, 0.3, 1.0)
    wide = changed(content="a" * 80 + ".jpg", rows=(*ROWS, long))
    tab = seen(rendered(wide, {**PAINTINGS, long.label: picture(BLUE)}), width)
    assert tab.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_paper_and_ink_follow_the_reader(seen, scheme, dark):
    tab = seen(rendered(), color_scheme=scheme)
    get = "name => getComputedStyle(document.body)[name].match(/\\d+/g).map(Number)"
    paper, ink = (np.mean(tab.evaluate(get, n)) for n in ("backgroundColor", "color"))
    assert (paper < ink) == dark
    assert abs(paper - ink) > 150
