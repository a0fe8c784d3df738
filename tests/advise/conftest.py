import pytest
from chat_server import ChatServer


@pytest.fixture
def unset(monkeypatch):
    """No language model is configured, whoever runs the tests."""
    for name in (
        "IMPASTO_MODEL",
        "IMPASTO_MODEL_URL",
        "IMPASTO_MODEL_KEY",
        "IMPASTO_MODEL_SECONDS",
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_BASE_URL",
    ):
        monkeypatch.delenv(name, raising=False)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    return monkeypatch


@pytest.fixture
def server(unset):
    """A language model on this machine; see :mod:`chat_server`."""
    running = ChatServer()
    yield running
    running.close()
