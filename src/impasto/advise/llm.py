"""Language models, through pydantic-ai: a question with pictures, a typed answer, one error.

Nothing is sent anywhere unless a model has been named: as an argument, or in ``IMPASTO_MODEL``.
Where it goes is the model's provider or the given address and nowhere else; what goes is the
prompt, and pictures of at most ``MAX_IMAGE_SIDE_PX`` px without their metadata.
"""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit

import numpy as np

from impasto.core.errors import LanguageModelError, MissingExtraError
from impasto.core.picture import Raster
from impasto.pictures import fit_long_side, resize

if TYPE_CHECKING:
    from pydantic_ai.messages import BinaryContent
    from pydantic_ai.models import Model

T = TypeVar("T")

MAX_IMAGE_SIDE_PX = 768
"""Pixels that the long side of a picture has at most when it is sent."""

DEFAULT_TIMEOUT_SECONDS = 60.0
"""How long an answer may take, unless ``IMPASTO_MODEL_SECONDS`` says otherwise."""

PROVIDER_KEY_VARIABLES = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}
"""Prefix of a model's name → the variable in which its provider's own programs look for the key."""

INSTALL_COMMAND = 'pip install "impasto[agent]"'


@dataclass(frozen=True)
class LanguageModel:
    """A model that can be asked.

    Attributes:
        name: as its provider calls it: "gpt-5.2", "claude-opus-4-1", "llava:7b".
        provider: whose protocol it speaks: "openai", as most local servers do, or "anthropic".
        url: where it is; "" is the provider's own address.
        api_key: what it is paid with, or "".
        timeout_seconds: how long an answer may take.
    """

    name: str
    provider: str
    url: str = ""
    api_key: str = field(default="", repr=False)
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS

    def __str__(self) -> str:
        return f"{self.name} at {urlsplit(self.url).netloc if self.url else self.provider}"

    def ask(
        self,
        prompt: str,
        output_type: type[T],
        *,
        images: Sequence[Raster] = (),
        instructions: str = "",
        tools: Sequence[Callable[..., Any]] = (),
        timeout_seconds: float | None = None,
    ) -> T:
        """Ask once, and once more if the answer is not of the type.

        Args:
            prompt: the question.
            output_type: the answer's type: a pydantic model or a dataclass; its field's
            descriptions
                and docstring are told to the model.
            images: float32 (height, width, 3) in 0..1, sent at ``MAX_IMAGE_SIDE_PX`` px at most.
            instructions: what it is, and how it is to answer.
            tools: functions with annotations and docstrings that it may call before it answers.
            timeout_seconds: how long all of it may take, tools included; None is the model's own.

        Raises:
            ModelError: it is down, too slow, refuses, or does not answer in the type.
        """
        timeout_seconds = self.timeout_seconds if timeout_seconds is None else timeout_seconds
        try:
            from pydantic_ai import Agent, NativeOutput

            async def work() -> T:
                async with make_client(self, timeout_seconds) as client:
                    # Servers that know no schemas ignore it: so it stands in the prompt too.
                    form: Any = NativeOutput(output_type, template=_SCHEMA_TEMPLATE)
                    agent = Agent(
                        make_chat_model(self, client),
                        output_type=form if self.provider == "openai" else output_type,
                        instructions=instructions or None,
                        tools=tools,
                        retries=1,
                    )
                    question: list[Any] = [prompt, *map(encode_jpeg, images)]
                    done = await asyncio.wait_for(agent.run(question), timeout_seconds)
                    return cast(T, done.output)

            return run_coroutine(work)
        except Exception as error:
            raise LanguageModelError(describe_error(self, error, timeout_seconds)) from error


def connect(name: str = "", url: str = "") -> LanguageModel | None:
    """The language model that the user has configured; asks it nothing yet.

    Args:
        name: "openai:NAME" or "anthropic:NAME", or with a ``url`` any name that it knows; "" is
            ``IMPASTO_MODEL``.
        url: of an endpoint that speaks OpenAI's protocol, as Ollama, llama.cpp and vLLM do, or with
            "anthropic:NAME" of one that speaks Anthropic's; "" is ``IMPASTO_MODEL_URL``, or the
            provider's own address if ``name`` has a provider's prefix.

    The key comes from ``IMPASTO_MODEL_KEY``. If that is not set, it is the one that the provider's
    own programs use, but that is sent to the provider's own address only. An answer may take
    ``IMPASTO_MODEL_SECONDS``, 60 if that is not set.

    Returns:
        The model; None if none is configured.

    Raises:
        ModelError: a configuration that cannot work.
        MissingExtraError: one is configured, but the extra ``agent`` is not installed.
    """
    given = _parse_provider(name)
    url = url or ("" if given else os.environ.get("IMPASTO_MODEL_URL", ""))
    name = name or os.environ.get("IMPASTO_MODEL", "")
    if not name and not url:
        return None
    provider = _parse_provider(name)
    if not name:
        raise LanguageModelError(
            f"There is an address, {url}, but no model: name one, as --model llava."
        )
    if url and urlsplit(url).scheme not in ("http", "https"):
        raise LanguageModelError(f"The model's address {url} must begin with http:// or https://.")
    if not url and not provider:
        raise LanguageModelError(
            f"Where the model {name} is, is not said: write openai:{name} or anthropic:{name}, "
            "or give the address of a server, as --model-url http://localhost:11434/v1."
        )
    key = os.environ.get("IMPASTO_MODEL_KEY", "")
    if not url and not key:
        key = os.environ.get(PROVIDER_KEY_VARIABLES[provider], "")
        if not key:
            raise LanguageModelError(
                f"The model {name} needs a key: set IMPASTO_MODEL_KEY or "
                f"{PROVIDER_KEY_VARIABLES[provider]}."
            )
    _check_installed()
    return LanguageModel(
        name=name.removeprefix(f"{provider}:"),
        provider=provider or "openai",
        url=url.rstrip("/"),
        api_key=key,
        timeout_seconds=_read_timeout(),
    )


_SCHEMA_TEMPLATE = (
    "Answer with a JSON object of this schema, and nothing before or after it:\n\n{schema}"
)


def _parse_provider(name: str) -> str:
    """The provider that a model's name begins with, or "": "llava:7b" is a name with a tag."""
    prefix, colon, _ = name.partition(":")
    return prefix if colon and prefix in PROVIDER_KEY_VARIABLES else ""


def _read_timeout() -> float:
    said = os.environ.get("IMPASTO_MODEL_SECONDS", "")
    try:
        seconds = float(said or DEFAULT_TIMEOUT_SECONDS)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise LanguageModelError(f"IMPASTO_MODEL_SECONDS = {said}: it must be a number, 1 to 3600.")
    return seconds


def _check_installed() -> None:
    try:
        import anthropic  # noqa: F401
        import openai  # noqa: F401
        import pydantic_ai  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(f"Language models need an extra; run: {INSTALL_COMMAND}") from error


def make_client(model: LanguageModel, timeout_seconds: float) -> Any:
    """The provider's own client; it asks once, there and nowhere else: no retries, no redirects."""
    key, url = model.api_key or "none", model.url or None
    if model.provider == "anthropic":
        import anthropic

        return anthropic.AsyncAnthropic(
            api_key=key,
            base_url=url,
            max_retries=0,
            timeout=timeout_seconds,
            http_client=anthropic.DefaultAsyncHttpxClient(follow_redirects=False),
        )
    import openai

    return openai.AsyncOpenAI(
        api_key=key,
        base_url=url,
        max_retries=0,
        timeout=timeout_seconds,
        http_client=openai.DefaultAsyncHttpxClient(follow_redirects=False),
    )


def make_chat_model(model: LanguageModel, client: Any) -> Model:
    """The model as pydantic-ai's agents take it."""
    if model.provider == "anthropic":
        from pydantic_ai.models.anthropic import AnthropicModel
        from pydantic_ai.providers.anthropic import AnthropicProvider

        return AnthropicModel(model.name, provider=AnthropicProvider(anthropic_client=client))
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    return OpenAIChatModel(model.name, provider=OpenAIProvider(openai_client=client))


def encode_jpeg(pixels: Raster) -> BinaryContent:
    """A picture as it is sent: a JPEG of at most ``MAX_IMAGE_SIDE_PX`` px."""
    from PIL import Image
    from pydantic_ai.messages import BinaryContent

    height, width = pixels.shape[:2]
    if max(height, width) > MAX_IMAGE_SIDE_PX:
        height, width = fit_long_side(height, width, MAX_IMAGE_SIDE_PX)
    small = np.asarray(resize(pixels, height, width))
    file = io.BytesIO()
    Image.fromarray(np.rint(small * 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return BinaryContent(file.getvalue(), media_type="image/jpeg")


def run_coroutine(make_coroutine: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run to the end; in a thread where, as in a notebook, a loop is running already."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(make_coroutine())
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(make_coroutine())).result()


def describe_error(model: LanguageModel, error: Exception, timeout_seconds: float) -> str:
    """What went wrong, and what to do."""
    from pydantic_ai.exceptions import (
        ContentFilterError,
        ModelConnectionError,
        ModelHTTPError,
        UnexpectedModelBehavior,
    )

    causes = _exception_chain(error)
    if any(isinstance(each, TimeoutError) or "Timeout" in type(each).__name__ for each in causes):
        longer = (
            "; IMPASTO_MODEL_SECONDS gives it longer"
            if timeout_seconds == model.timeout_seconds
            else ""
        )
        return f"The model {model} gave no answer in {timeout_seconds:g} s{longer}."
    if isinstance(error, ModelHTTPError):
        advice = _STATUS_HINTS.get(error.status_code, "its log may say why.")
        return f"The model {model} answered with HTTP {error.status_code}: {advice}"
    if isinstance(error, ContentFilterError):
        return f"The model {model} refuses to answer."
    if isinstance(error, UnexpectedModelBehavior):
        return f"The model {model} did not answer in the form that was asked for."
    if isinstance(error, ModelConnectionError):
        return f"The model {model} cannot be reached: check the address, and whether it runs."
    return f"The model {model} could not be asked: {error}"


_STATUS_HINTS = {
    400: "it does not take such a question; it may not see pictures.",
    401: "it does not take the key; check IMPASTO_MODEL_KEY.",
    403: "it does not take the key; check IMPASTO_MODEL_KEY.",
    404: "check the model's name, and the address, which mostly ends in /v1.",
    429: "too many questions, or no credit left; try again later.",
}


def _exception_chain(error: BaseException | None) -> list[BaseException]:
    """An error, what caused it, and so on."""
    return [] if error is None else [error, *_exception_chain(error.__cause__ or error.__context__)]
