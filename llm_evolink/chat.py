"""The model, sync and async, as llm calls it."""

import json
import re
from collections.abc import AsyncGenerator, Iterator
from typing import Any, Literal

import llm
from llm.parts import StreamEvent
from pydantic import ConfigDict, Field, field_validator

from . import errors
from .images import IMAGE_TYPES

# httpx and the generated client are imported by the first prompt, in the functions that use them:
# every `llm` command loads this module.


class Options(llm.Options):
    """What can be set with `-o`; each is sent only when set, within the document's bounds."""

    # Built on first use: loading the plugin does not pay for it.
    model_config = ConfigDict(extra="forbid", defer_build=True)

    temperature: float | None = Field(
        None, ge=0, le=2, description="Randomness of the answer, 0 (least) to 2"
    )
    max_tokens: int | None = Field(
        None, ge=1, le=65536, description="Most tokens to generate, reasoning included, 1 to 65536"
    )
    top_p: float | None = Field(
        None, ge=0, le=1, description="Share of probability to draw tokens from, 0 to 1"
    )
    frequency_penalty: float | None = Field(
        None, ge=-2, le=2, description="Penalty on tokens by how often they came, -2 to 2"
    )
    presence_penalty: float | None = Field(
        None, ge=-2, le=2, description="Penalty on tokens that came at all, -2 to 2"
    )
    stop: list | str | None = Field(  # type: ignore[type-arg]  # see check_stop
        None, description="Text at which to stop, or a JSON list of several"
    )
    seed: int | None = Field(
        None, ge=0, le=2147483647, description="Seed of the sampling, 0 to 2147483647"
    )
    reasoning_effort: Literal["minimal", "low", "medium", "high"] | None = Field(
        None, description="How much to think first: minimal, low, medium or high"
    )
    logprobs: bool | None = Field(
        None, description="Log the log probability of each token in response_json"
    )
    top_logprobs: int | None = Field(
        None, ge=0, le=20, description="With logprobs, likely tokens to list at each place, 0 to 20"
    )
    json_object: bool | None = Field(None, description="Answer with a JSON object")

    @field_validator("stop", mode="before")
    @classmethod
    def check_stop(cls, stop: Any) -> Any:
        """Take a JSON list as a list. Raises ValueError unless it is text or a list of texts.

        Checked here: llm's printer of option errors fails on one that lies inside a list.
        """
        if isinstance(stop, str) and stop.lstrip().startswith("["):
            try:
                stop = json.loads(stop)
            except ValueError:
                raise ValueError("begins with [ and is not a JSON list of texts") from None
        texts = stop if isinstance(stop, list) else [stop]
        if stop is not None and not all(isinstance(text, str) for text in texts):
            raise ValueError("not a text or a list of texts")
        return stop


class _Evolink:
    """What both models are."""

    model_id = "gemini-3.5-flash"
    needs_key: str | None = "evolink"
    key_env_var: str | None = "EVOLINK_API_KEY"
    can_stream = True
    supports_schema = True
    supports_tools = True
    attachment_types: set[str] | frozenset[str] = frozenset(IMAGE_TYPES)

    def __str__(self) -> str:
        return f"EvoLink: {self.model_id}"

    def _validate_attachments(self, attachments: Any = None) -> None:
        """Leave it to the request, which checks attachments wherever they come from.

        llm would ask a server for the type of an address, and name no file.
        """


def _checked_key(find: Any, explicit_key: str | None) -> str:
    """Return the key that llm finds, without whitespace around it. Raises EvolinkError."""
    try:
        key = str(find(explicit_key)).strip()
    except llm.NeedsKeyException as missing:
        raise errors.MissingKeyError(str(missing)) from None
    if not re.fullmatch("[!-~]+", key):
        raise errors.AuthenticationError(
            "The EvoLink key holds a character that no key has (a space, a quote of another "
            "alphabet); set it again with: llm keys set evolink"
        )
    return key


class EvolinkChat(_Evolink, llm.KeyModel):
    """gemini-3.5-flash over EvoLink."""

    Options = Options  # type: ignore[assignment]

    def get_key(self, explicit_key: str | None = None) -> str:
        """Return the key as llm finds it. Raises MissingKeyError or AuthenticationError."""
        return _checked_key(super().get_key, explicit_key)

    def execute(
        self,
        prompt: llm.Prompt,
        stream: bool,
        response: llm.Response,
        conversation: llm.Conversation | None = None,
        key: str | None = None,
    ) -> Iterator[StreamEvent]:
        """Send the prompt and yield the reply. Raises EvolinkError for any failure."""
        from generated_client.api.chat_completion import create_chat_completion_quick as api

        from . import connection
        from .turn import Turn

        turn = Turn(prompt, stream, response, conversation, key or self.get_key())
        try:
            client = connection.client(turn.key)
            if stream:
                with api.sync_stream(client=client, body=turn.request()) as chunks:
                    turn.note_headers(chunks.headers)
                    for chunk in chunks:
                        yield from turn.reply.read_chunk(chunk)
            else:
                turn.whole = api.sync_detailed(client=client, body=turn.request())
        except Exception as failure:
            turn.failure = failure
        yield from turn.end()


class AsyncEvolinkChat(_Evolink, llm.AsyncKeyModel):
    """gemini-3.5-flash over EvoLink, for an event loop."""

    Options = Options  # type: ignore[assignment]

    def get_key(self, explicit_key: str | None = None) -> str:
        """Return the key as llm finds it. Raises MissingKeyError or AuthenticationError."""
        return _checked_key(super().get_key, explicit_key)

    async def execute(
        self,
        prompt: llm.Prompt,
        stream: bool,
        response: llm.AsyncResponse,
        conversation: llm.AsyncConversation | None = None,
        key: str | None = None,
    ) -> AsyncGenerator[StreamEvent, None]:
        """Send the prompt and yield the reply. Raises EvolinkError for any failure."""
        from generated_client.api.chat_completion import create_chat_completion_quick as api

        from . import connection
        from .turn import Turn

        turn = Turn(prompt, stream, response, conversation, key or self.get_key())
        try:
            client = await connection.async_client(turn.key)
            if stream:
                async with api.asyncio_stream(client=client, body=turn.request()) as chunks:
                    turn.note_headers(chunks.headers)
                    async for chunk in chunks:
                        for event in turn.reply.read_chunk(chunk):
                            yield event
            else:
                turn.whole = await api.asyncio_detailed(client=client, body=turn.request())
        except Exception as failure:
            turn.failure = failure
        for event in turn.end():
            yield event
