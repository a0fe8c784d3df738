"""The web application over real HTTP: its pages, what it refuses, and that it tells no method."""

import http.client
import re
import sqlite3
from html.parser import HTMLParser
from urllib.parse import urlencode, urlsplit

import pytest
from small_study import METHODS, SCENES, copied_study, methods_of, served, small_study

from impasto.core.errors import InputError
from impasto.study.report import report
from impasto.study.server import listen, served_urls


class Form(HTMLParser):
    """The hidden fields of a page, and the values of its buttons."""

    def __init__(self, text):
        super().__init__()
        self.fields, self.choices = {}, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "input":
            self.fields[attrs["name"]] = attrs["value"]
        if tag == "button" and attrs.get("name") == "choice":
            self.choices.append(attrs["value"])


class Browser:
    """One rater without JavaScript."""

    def __init__(self, url):
        self.netloc = urlsplit(url).netloc
        self.cookie = ""
        self.seen = b""

    def ask(self, method, path, fields=None, **headers):
        connection = http.client.HTTPConnection(self.netloc, timeout=20)
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookie:
            headers["Cookie"] = self.cookie
        if method == "POST":
            headers = {"Origin": f"http://{self.netloc}"} | headers
        body = urlencode(fields) if fields is not None else None
        connection.request(method, path, body, {k: v for k, v in headers.items() if v is not None})
        reply = connection.getresponse()
        reply.text = reply.read()
        self.seen += reply.text + str(reply.getheaders()).encode()
        if reply.getheader("set-cookie"):
            self.cookie = reply.getheader("set-cookie").partition(";")[0]
        connection.close()
        return reply

    def page(self):
        return self.ask("GET", "/").text.decode()

    def begin(self):
        assert self.ask("POST", "/begin").status == 303
        return self

    def answer(self, choice="left"):
        form = Form(self.page())
        if not form.choices:
            return False
        reply = self.ask("POST", "/answer", {**form.fields, "choice": choice})
        assert (reply.status, reply.getheader("location")) == (303, "/")
        return True


@pytest.fixture
def path(tmp_path):
    return copied_study(tmp_path)


@pytest.fixture
def heard():
    return []


@pytest.fixture
def url(path, heard):
    with served(path, on_error=heard.append) as url:
        yield url


@pytest.fixture
def rater(url):
    return Browser(url).begin()


def answers(path):
    with sqlite3.connect(path) as base:
        return base.execute("SELECT count(*) FROM answer").fetchone()[0]


def test_who_is_new_is_welcomed_and_not_yet_counted(url, path):
    assert "Begin" in Browser(url).page()
    with sqlite3.connect(path) as base:
        assert base.execute("SELECT count(*) FROM rater").fetchone()[0] == 0


def test_the_page_works_without_javascript_to_the_end(rater, path):
    while rater.answer():
        pass
    assert "Thank you" in rater.page()
    assert answers(path) == 3 * 14
    assert report(path).raters == 1


def test_nothing_that_a_rater_gets_tells_a_method_or_a_scene(rater, path):
    while rater.answer():
        pass
    tokens = set(re.findall(r"/picture/([\w-]+)", rater.seen.decode("utf-8", "replace")))
    assert len(tokens) == len(SCENES) * len(METHODS) + 4  # and two contents, two styles
    for token in tokens:
        assert rater.ask("GET", f"/picture/{token}").status == 200
    for name in (*METHODS, *SCENES, path.name):
        assert name.encode() not in rater.seen
    assert b"repeat" not in rater.seen.lower().replace(b"norepeat", b"")


def test_the_page_offers_no_way_to_the_results_or_the_file(url):
    for path in ("/report", "/small.study", "/picture/", "/picture/1", "/../small.study", "/docs"):
        assert Browser(url).ask("GET", path).status == 404


def test_a_picture_is_a_jpeg_that_may_be_kept(rater, path):
    token = next(iter(methods_of(path)))
    reply = rater.ask("GET", f"/picture/{token}")
    assert reply.getheader("content-type") == "image/jpeg"
    assert reply.text.startswith(b"\xff\xd8\xff")
    assert "immutable" in reply.getheader("cache-control")


def test_the_cookie_is_only_for_this_page(url):
    browser = Browser(url)
    said = browser.ask("POST", "/begin").getheader("set-cookie").lower()
    assert "httponly" in said
    assert "samesite=lax" in said


def test_two_studies_on_one_host_have_cookies_of_their_own(url, tmp_path):
    with served(small_study(tmp_path / "other")) as other:
        first, second = Browser(url).begin().cookie, Browser(other).begin().cookie
    assert first.partition("=")[0] != second.partition("=")[0]


def test_who_begins_twice_stays_the_same_rater(rater, path):
    rater.answer()
    rater.begin()
    with sqlite3.connect(path) as base:
        assert base.execute("SELECT count(*) FROM rater").fetchone()[0] == 1


def test_an_answer_can_be_taken_back(rater, path):
    rater.answer()
    assert answers(path) == 1
    assert rater.ask("POST", "/undo").status == 303
    assert answers(path) == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": None, "Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_another_web_page_cannot_post(rater, path, headers):
    form = Form(rater.page())
    reply = rater.ask("POST", "/answer", {**form.fields, "choice": "left"}, **headers)
    assert reply.status == 403
    assert answers(path) == 0


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_name_that_is_not_ours_is_refused(url, method):
    browser = Browser(url)
    port = browser.netloc.partition(":")[2]
    host = f"evil.example:{port}"
    reply = browser.ask(method, "/" if method == "GET" else "/begin", Host=host,
                        **({"Origin": f"http://{host}"} if method == "POST" else {}))  # fmt: skip
    assert reply.status == 403
    assert not browser.cookie


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "192.168.7.9", "[::1]"])
def test_the_machine_may_be_called_by_its_addresses(url, host):
    assert Browser(url).ask("GET", "/", Host=f"{host}:8765").status == 200


def test_a_name_that_was_allowed_is_ours(path):
    with served(path, allowed_hosts=["study.example"]) as url:
        assert Browser(url).ask("GET", "/", Host="study.example").status == 200


def test_the_browser_is_told_to_load_nothing_from_elsewhere(rater):
    reply = rater.ask("GET", "/")
    policy = reply.getheader("content-security-policy")
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert not re.search(r"unsafe|https?:|\*", policy)
    assert not re.search(r"(src|href|action)=\"(?!/)", reply.text.decode())


def test_pages_are_not_kept_in_caches(rater):
    assert rater.ask("GET", "/").getheader("cache-control") == "no-store"


def test_what_is_no_answer_is_told_to_who_runs_the_study(rater, path, heard):
    reply = rater.ask("POST", "/answer", {"trial": "guessed", "question": "keep", "choice": "left"})
    assert reply.status == 503
    assert heard
    assert answers(path) == 0


def test_a_long_answer_is_not_read(rater):
    assert rater.ask("POST", "/answer", {"trial": "x" * 10_000}).status == 413


def test_trouble_with_the_file_names_no_path_to_raters(rater, path, heard):
    kept = path.read_bytes()
    path.unlink()
    reply = rater.ask("GET", "/")
    assert reply.status == 503
    assert str(path.parent).encode() not in reply.text
    assert any(str(path) in text for text in heard)
    path.write_bytes(kept)


def test_going_on_needs_a_post(rater):
    for path in ("/begin", "/answer", "/undo", "/more"):
        assert rater.ask("GET", path).status == 405


def test_a_port_in_use_is_told_with_what_to_do():
    with listen(port=0) as door:
        port = door.getsockname()[1]
        with pytest.raises(InputError, match=f"Port {port} .*--port 0"), listen(port=port):
            pass


def test_an_address_that_is_not_here_is_told():
    for host in ("no.such.host.invalid", "192.0.2.77"):
        with pytest.raises(InputError, match=host.replace(".", r"\.")), listen(host, 0):
            pass


def test_only_this_machine_is_served_unless_asked():
    with listen(port=0) as door:
        assert door.getsockname()[0] == "127.0.0.1"
        assert served_urls(door) == [f"http://127.0.0.1:{door.getsockname()[1]}/"]


def test_for_all_addresses_the_last_url_is_for_others():
    with listen("0.0.0.0", 0) as door:
        first, *others = served_urls(door)
    assert first.startswith("http://127.0.0.1:")
    assert not any("0.0.0.0" in url for url in others)
