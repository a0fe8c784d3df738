import asyncio
import sys

import numpy as np
import pytest
from pydantic import BaseModel, Field

from impasto.advise.llm import MAX_IMAGE_SIDE_PX, connect
from impasto.core.errors import LanguageModelError, MissingExtraError


class Words(BaseModel):
    """What it looks like."""

    words: list[str] = Field(max_length=3)


@pytest.fixture
def model(server):
    return connect("llava:7b", server.url)


def test_a_typed_answer(model, server):
    server.says = [{"words": ["bold"]}]
    assert model.ask("What is it like?", Words) == Words(words=["bold"])
    request = server.asked[0]
    assert request["model"] == "llava:7b"  # a tag is no provider
    assert request["response_format"]["json_schema"]["name"] == "Words"
    assert "What is it like?" in str(request["messages"])


def test_an_answer_in_markdown_or_after_thoughts(model, server):
    for said in ('```json\n{"words": ["a"]}\n```', '<think>hm</think>{"words": ["a"]}'):
        server.says = [said]
        assert model.ask("?", Words).words == ["a"]


def test_pictures_are_sent_smaller_and_without_anything_else(model, server):
    server.says = [{"words": []}]
    pixels = np.full((400, 1600, 3), 0.5, np.float32)
    pixels[:, :, 0] = 1
    model.ask("?", Words, images=[pixels, pixels[:30, :20]])
    large, tiny = server.pictures()
    assert large.size == (MAX_IMAGE_SIDE_PX, MAX_IMAGE_SIDE_PX // 4)
    assert tiny.size == (20, 30)  # never made larger
    assert not large.getexif()
    assert np.allclose(np.asarray(large), [255, 128, 128], atol=3)


def test_nonsense_is_asked_once_more(model, server):
    server.says = ["as you like", {"words": ["a"]}]
    assert model.ask("?", Words).words == ["a"]
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("says", "said", "requests"),
    [
        ("as you like", "not answer in the form", 2),
        ({"colors": 1}, "not answer in the form", 2),
        ({"words": ["a", "b", "c", "d"]}, "not answer in the form", 2),
        (b"{}", "not answer in the form", 1),
        (b"<html>", "could not be asked", 1),
        ("refuse", "refuses", 1),
        ("filter", "refuses", 1),
        (400, "may not see pictures", 1),
        (401, "IMPASTO_MODEL_KEY", 1),
        (404, "/v1", 1),
        (429, "later", 1),
        (503, "HTTP 503", 1),
    ],
)
def test_a_failure_is_one_error_of_one_sentence(model, server, says, said, requests):
    server.says = [says]
    with pytest.raises(LanguageModelError, match=said) as caught:
        model.ask("?", Words)
    assert f"llava:7b at 127.0.0.1:{server.server.server_port}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(server.asked) == requests  # a failure is not tried again and again


def test_one_that_is_down(unset):
    with pytest.raises(LanguageModelError, match="cannot be reached"):
        connect("x", "http://127.0.0.1:9/v1").ask("?", Words)


def test_one_that_is_too_slow(model, server):
    server.says = ["slow"]
    with pytest.raises(LanguageModelError, match=r"no answer in 0\.3 s\."):
        model.ask("?", Words, timeout_seconds=0.3)


def test_its_time_can_be_set(server, monkeypatch):
    monkeypatch.setenv("IMPASTO_MODEL_SECONDS", "0.2")
    server.says = ["slow"]
    with pytest.raises(LanguageModelError, match=r"0\.2 s; IMPASTO_MODEL_SECONDS"):
        connect("x", server.url).ask("?", Words)


def test_it_may_call_tools_before_it_answers(model, server):
    def weigh(grams: int) -> str:
        """How heavy that is."""
        return f"{grams} g is heavy"

    server.says = [("weigh", {"grams": 7}), {"words": ["heavy"]}]
    assert model.ask("?", Words, tools=[weigh]).words == ["heavy"]
    assert server.asked[0]["tools"][0]["function"]["description"] == "How heavy that is."
    assert "7 g is heavy" in str(server.asked[1]["messages"])


def test_in_a_notebook_where_a_loop_is_running(model, server):
    server.says = [{"words": ["a"]}]

    async def cell():
        return model.ask("?", Words)

    assert asyncio.run(cell()).words == ["a"]


def test_anthropics_protocol(server, monkeypatch):
    monkeypatch.setenv("IMPASTO_MODEL_KEY", "key-1")
    server.says = [{"words": ["a"]}]
    model = connect("anthropic:claude-x", server.url.removesuffix("/v1"))
    assert model.ask("?", Words, images=[np.zeros((4, 4, 3), np.float32)]).words == ["a"]
    assert server.paths == ["/v1/messages"]
    assert server.asked[0]["model"] == "claude-x"
    assert "key-1" in str(server.headers)


def test_nothing_is_configured(unset):
    unset.setenv("OPENAI_API_KEY", "somebody's")  # it is there for other programs
    assert connect() is None


def test_it_can_be_configured_by_the_environment(server, monkeypatch):
    monkeypatch.setenv("IMPASTO_MODEL", "llava")
    monkeypatch.setenv("IMPASTO_MODEL_URL", server.url + "/")
    monkeypatch.setenv("IMPASTO_MODEL_KEY", "key-2")
    server.says = [{"words": ["a"]}]
    assert connect().ask("?", Words).words == ["a"]
    assert server.headers[0]["authorization"] == "Bearer key-2"


def test_a_providers_key_goes_to_no_other_address(server, monkeypatch):
    server.says = [{"words": ["a"]}]
    for variable in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.setenv(variable, "secret")
    connect("openai:gpt-x", server.url).ask("?", Words)
    connect("anthropic:claude-x", server.url.removesuffix("/v1")).ask("?", Words)
    assert "secret" not in str(server.headers)


@pytest.mark.parametrize("name", ["llava", "anthropic:claude-x"])
def test_a_picture_follows_no_redirect(server, name):
    server.says = [307]
    server.leads_to = server.url + "/elsewhere"
    with pytest.raises(LanguageModelError):
        connect(name, server.url).ask("?", Words)
    assert not any("elsewhere" in path for path in server.paths)


def test_a_provider_that_is_named_is_asked_and_not_the_address_in_the_environment(unset):
    unset.setenv("IMPASTO_MODEL_URL", "http://127.0.0.1:9/v1")
    unset.setenv("OPENAI_API_KEY", "key-3")
    model = connect("openai:gpt-x")
    assert (model.name, model.url, model.api_key) == ("gpt-x", "", "key-3")
    assert str(model) == "gpt-x at openai"


@pytest.mark.parametrize(
    ("name", "url", "said"),
    [
        ("llava", "", "--model-url"),
        ("gemini:2", "", "--model-url"),
        ("", "http://localhost:1/v1", "no model"),
        ("llava", "localhost:1", "http://"),
        ("openai:gpt-x", "", "OPENAI_API_KEY"),
        ("anthropic:claude-x", "", "ANTHROPIC_API_KEY"),
    ],
)
def test_a_configuration_that_cannot_work(unset, name, url, said):
    with pytest.raises(LanguageModelError, match=said):
        connect(name, url)


def test_a_time_that_is_none(unset):
    unset.setenv("IMPASTO_MODEL_SECONDS", "soon")
    with pytest.raises(LanguageModelError, match="IMPASTO_MODEL_SECONDS = soon"):
        connect("x", "http://127.0.0.1:9/v1")


def test_without_the_extra_its_install_line_is_said(unset):
    unset.setitem(sys.modules, "pydantic_ai", None)
    assert connect() is None
    with pytest.raises(MissingExtraError, match=r'pip install "impasto\[agent\]"'):
        connect("x", "http://127.0.0.1:9/v1")


def test_a_key_is_not_shown(unset):
    unset.setenv("IMPASTO_MODEL_KEY", "secret")
    assert "secret" not in repr(connect("x", "http://127.0.0.1:9/v1"))
