import pytest
from chat_server import ChatServer


@pytest.fixture
def chat(monkeypatch):
    for name in ("IMPASTO_MODEL", "IMPASTO_MODEL_URL", "IMPASTO_MODEL_SECONDS"):
        monkeypatch.delenv(name, raising=False)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    running = ChatServer()
    yield running
    running.close()


def test_the_words_alone_are_on_stdout(impasto, chat, style):
    done = impasto("describe", style, "--backend", "measure")
    assert done.code == 0
    (line,) = done.out.splitlines()
    assert ", " in line
    assert done.err == "Measured from the pixels.\n"


def test_a_models_words(impasto, chat, style):
    chat.says = [{"medium": ["oil"], "technique": ["bold lines"]}, {"things": []}]
    done = impasto("describe", style, "--model", "llava", "--model-url", chat.url)
    assert done.out == "oil, bold lines\n"
    assert done.err.startswith("Said by llava at 127.0.0.1:")


def test_a_model_that_was_named_and_fails_is_warned_of(impasto, chat, style):
    chat.says = [401]
    done = impasto("describe", style, "--model", "llava", "--model-url", chat.url, "-q")
    assert done.code == 0
    assert "warning: The model llava" in done.err
    assert "IMPASTO_MODEL_KEY" in done.err
    assert done.out


def test_a_way_that_was_asked_for_and_fails_is_an_error(impasto, chat, style):
    chat.says = ["as you like"]
    done = impasto("describe", style, "--backend", "model", "--model", "x", "--model-url", chat.url)
    assert done.code == 2
    assert done.out == ""
    assert "not answer in the form" in done.err


def test_several_styles(impasto, chat, style):
    done = impasto("describe", style, style, "--backend", "measure", "--max-words", "2")
    first, second = done.out.splitlines()
    assert first.startswith(f"{style}: ")
    assert second == first
    assert done.err.count("Measured") == 1  # the same is said once


def test_json(impasto, chat, style):
    facts = impasto("describe", style, "--backend", "measure", "--json").json
    assert facts["backend"] == "measured"
    assert facts["phrase"] == ", ".join(facts["words"])
    assert facts["measurements"]["colors"]
    assert facts["name"] == str(style)


def test_json_of_several_styles_is_a_list(impasto, chat, style):
    facts = impasto("describe", style, style, "--backend", "measure", "--json").json
    assert [each["backend"] for each in facts] == ["measured", "measured"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["none.jpg"], "no such file"),
        (["STYLE", "--max-words", "0"], "--max-words"),
        (["STYLE", "--backend", "magic"], "magic"),
        (["STYLE", "--backend", "model"], "--model"),
        (["STYLE", "--backend", "model", "--model", "x"], "--model-url"),
    ],
)
def test_a_mistake_is_one_sentence(impasto, chat, style, args, said):
    done = impasto("describe", *(style if arg == "STYLE" else arg for arg in args))
    assert done.code == 2
    assert done.out == ""
    assert len(done.err.splitlines()) == 1
    assert said in done.err
