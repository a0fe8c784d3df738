"""The study's page in a real browser: keyboard, phone, two people at once, reloading, undoing."""

import shutil
import sqlite3
import time

import pytest
from small_study import METHODS, SCENES, copied_study, served

from impasto.study.report import report

CHROMIUM = next(filter(None, map(shutil.which, (
    "chromium-headless-shell", "chromium", "chromium-browser", "google-chrome",
))), None)  # fmt: skip
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")

DESK = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 664}, "is_mobile": True, "has_touch": True}
READY = "main:not(.waiting)"


@pytest.fixture(scope="module")
def chromium():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def path(tmp_path):
    return copied_study(tmp_path, pairs_each=6)


@pytest.fixture
def url(path):
    with served(path) as url:
        yield url


@pytest.fixture
def visit(chromium, url):
    """Opens the study as a new person; what the page complains about is an error."""
    contexts, trouble = [], []

    def call(begin=True, **options):
        context = chromium.new_context(**(DESK | options))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.got = ""
        page.on("console", lambda message: trouble.append(message.text))
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("request", lambda request: setattr(page, "got", page.got + request.url + "\n"))
        page.goto(url)
        if begin:
            page.get_by_role("button", name="Begin").click()
            page.wait_for_selector(f"{READY}.pair")
            page.wait_for_load_state()
        return page

    yield call
    for context in contexts:
        context.close()
    assert not trouble


def kept(path, what="choice"):
    with sqlite3.connect(path) as base:
        return [row[0] for row in base.execute(f"SELECT {what} FROM answer ORDER BY id")]


def place(page):
    """Where the page is: the pair and the question."""
    return page.inner_text(".progress").strip(), page.inner_text("h1")


def after(page, act):
    """Do something, and wait until the page has followed."""
    before = page.inner_text("main")
    act()
    page.wait_for_function("before => document.querySelector('main').innerText !== before",
                           arg=before)  # fmt: skip
    page.wait_for_selector(READY)


def press(page, *keys):
    for key in keys:
        after(page, lambda key=key: page.keyboard.press(key))


def test_a_rater_answers_all_pairs_by_keyboard(visit, path):
    page = visit()
    press(page, *(["1", "ArrowRight", "3"] * 7))
    assert page.inner_text("h1") == "Thank you."
    assert kept(path) == ["left", "right", "neither"] * 7
    assert report(path).raters == 1


def test_the_buttons_can_be_reached_by_tab_and_pressed_by_enter(visit, path):
    page = visit()
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.value") == "right":
            break
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    press(page, "Enter")
    assert kept(path) == ["right"]


def test_a_rater_answers_on_a_phone_by_tapping(visit, path):
    page = visit(**PHONE)
    for name in ("Upper", "Lower", "Cannot tell"):
        time.sleep(0.3)  # faster, and it would be taken for a double tap
        after(page, page.get_by_role("button", name=name).tap)
    assert kept(path) == ["left", "right", "neither"]
    assert "2 of 7" in page.inner_text(".progress")


def test_a_double_tap_is_one_answer(visit, path):
    page = visit(**PHONE)
    time.sleep(0.3)
    page.evaluate("""async () => {
        const tap = () => document.querySelector("button[value=left]").dispatchEvent(
            new MouseEvent("click", { detail: 1, bubbles: true, cancelable: true }));
        const shown = document.querySelector("h1").innerText;
        tap();
        while (document.querySelector("h1").innerText === shown) {
            await new Promise((done) => setTimeout(done, 5));
        }
        tap();
    }""")
    time.sleep(0.3)
    assert kept(path) == ["left"]


@pytest.mark.parametrize("viewport", [(390, 664), (390, 844), (844, 390), (1280, 800), (360, 600)])
def test_both_pictures_and_the_answers_are_seen_without_scrolling(visit, viewport):
    width, height = viewport
    page = visit(viewport={"width": width, "height": height})
    for found in (*page.locator(".results img").all(), *page.locator(".choices button").all()):
        box = found.bounding_box()
        assert box["x"] >= 0
        assert box["y"] >= 0
        assert box["x"] + box["width"] <= width
        assert box["y"] + box["height"] <= height
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_two_raters_at_once_keep_their_own_places(visit, path):
    one, other = visit(), visit(**PHONE)
    press(one, "1")
    time.sleep(0.3)
    after(other, other.get_by_role("button", name="Lower").tap)
    press(one, "1", "1")
    assert "2 of 7" in one.inner_text(".progress")
    assert "1 of 7" in other.inner_text(".progress")
    assert kept(path) == ["left", "right", "left", "left"]
    assert report(path).raters == 2


def test_a_reload_goes_on_where_the_rater_was(visit, path):
    page = visit()
    press(page, "1", "2", "3", "1")
    before = place(page)
    page.reload()
    page.wait_for_selector(READY)
    assert place(page) == before
    assert len(kept(path)) == 4


def test_an_answer_can_be_undone_by_key_and_by_button(visit, path):
    page = visit()
    first = place(page)
    assert page.get_by_role("button", name="Back").is_disabled()
    press(page, "1", "2")
    press(page, "Backspace")
    assert kept(path) == ["left"]
    after(page, page.get_by_role("button", name="Back").click)
    assert kept(path) == []
    assert place(page) == first


def test_undoing_the_last_question_of_a_pair_shows_that_pair_again(visit):
    page = visit()
    pictures = page.locator(".results img").evaluate_all("all => all.map((each) => each.src)")
    press(page, "1", "1", "1", "Backspace")
    again = page.locator(".results img").evaluate_all("all => all.map((each) => each.src)")
    assert again == pictures
    assert page.inner_text(".count") == "3 / 3"


def test_nothing_in_the_page_or_its_requests_tells_the_method(visit, path):
    page = visit()
    told = ""
    while page.locator("main.pair").count():
        told += page.content()
        press(page, "2")
    told += page.content() + page.got
    assert "/picture/" in page.got
    assert not [name for name in (*METHODS, *SCENES) if name in told]


def test_the_next_pair_is_loaded_before_it_is_shown(visit):
    page = visit()
    ahead = page.get_attribute("main", "data-ahead").split()
    page.wait_for_function(
        """ahead => ahead.every(
            (each) => performance.getEntriesByName(location.origin + each).length)""",
        arg=ahead,
    )
    press(page, "1", "1", "1")
    shown = page.locator("main img").evaluate_all("all => all.map((e) => e.getAttribute('src'))")
    assert set(shown) == set(ahead)


def test_nothing_is_asked_from_elsewhere(visit, url):
    page = visit()
    press(page, "1", "1", "1")
    assert all(line.startswith(url) for line in page.got.splitlines())


def test_keys_that_mean_something_else_are_left_alone(visit, path):
    page = visit()
    for key in ("Control+1", "Alt+1", "4", "a", "ArrowDown", "ArrowUp", " "):
        page.keyboard.press(key)
    time.sleep(0.2)
    assert kept(path) == []


def test_without_javascript_the_forms_do_the_same(chromium, url, path):
    context = chromium.new_context(java_script_enabled=False, **DESK)
    page = context.new_page()
    page.goto(url)
    page.get_by_role("button", name="Begin").click()
    for name in ("Left", "Right", "Cannot tell"):
        page.get_by_role("button", name=name).click()
    context.close()
    assert kept(path) == ["left", "right", "neither"]


def test_a_study_that_has_ended_is_told_and_nothing_is_lost(chromium, path):
    with served(path) as url:
        context = chromium.new_context(**DESK)
        page = context.new_page()
        page.goto(url)
        page.get_by_role("button", name="Begin").click()
        page.wait_for_selector(f"{READY}.pair")
        page.wait_for_load_state()
        press(page, "1")
        before = place(page)
    page.keyboard.press("2")
    page.wait_for_function("document.getElementById('alert').innerText.includes('not be saved')")
    assert place(page) == before
    context.close()
    assert kept(path) == ["left"]


def contrast(page, selector):
    """WCAG 2.2: of the text of an element with what is behind it."""
    return page.evaluate(
        """selector => {
        const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
        let node = document.querySelector(selector);
        const ink = numbers(getComputedStyle(node).color);
        let paper = [0, 0, 0, 0];
        while (node && (paper.length === 4 && paper[3] === 0)) {
            paper = numbers(getComputedStyle(node).backgroundColor);
            node = node.parentElement;
        }
        const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
            .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
            .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
        const [a, b] = [light(ink), light(paper)].sort((x, y) => y - x);
        return (a + 0.05) / (b + 0.05);
    }""",
        selector,
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_by_day_and_by_night(visit, scheme):
    page = visit(begin=False, color_scheme=scheme, reduced_motion="reduce")
    for selector in ("h1", ".lead", ".fine", "button.main"):
        assert contrast(page, selector) >= 4.5
    page.get_by_role("button", name="Begin").click()
    page.wait_for_selector(f"{READY}.pair")
    page.wait_for_load_state()  # the colors are in the style sheet, which may come after the words
    for selector in ("h1", ".count", ".progress span", "figcaption", ".choices button"):
        assert contrast(page, selector) >= 4.5


def test_light_and_dark_differ(visit):
    papers = {
        visit(begin=False, color_scheme=scheme).evaluate(
            "getComputedStyle(document.body).backgroundColor"
        )
        for scheme in ("light", "dark")
    }
    assert len(papers) == 2


def test_everything_has_a_name_for_who_cannot_see_it(visit):
    page = visit()
    tree = page.locator("body").aria_snapshot()
    for name in ("Left (upper) picture", "Right (lower) picture", "The photograph", "Progress"):
        assert name in tree
    assert page.get_by_role("group", name="Which one would you keep?").count() == 1
    assert page.evaluate("document.documentElement.lang") == "en"


def test_the_question_is_read_out_when_it_changes(visit):
    page = visit()
    press(page, "1")
    assert page.evaluate("document.activeElement.id") == "question"
