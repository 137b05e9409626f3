"""The models, sync and async, as llm calls them."""

from collections.abc import Iterator
from typing import Any

import llm
from llm.parts import StreamEvent

__all__ = [
    "ADDED_MODELS_FILE",
    "KEY_ALIAS",
    "KEY_VARIABLE",
    "MODEL_ID",
    "AsyncEvolinkChat",
    "EvolinkChat",
]

MODEL_ID = "gemini-3.5-flash"
"""Name of the default model, in llm and in requests."""

KEY_ALIAS = "evolink"
"""Name under which `llm keys set` stores the API key."""

KEY_VARIABLE = "EVOLINK_API_KEY"
"""Environment variable that holds the API key when none is stored."""

ADDED_MODELS_FILE = "evolink-models.json"
"""File in llm's folder that lists the models which the user added."""


class _Options:
    """Descriptor that imports the class of options on first use."""

    def __get__(self, model: Any, owner: type) -> Any:
        if model and model.added:
            from .unbounded_options import UnboundedOptions

            return UnboundedOptions
        from .options import Options

        return Options


class _Evolink:
    """What the sync and the async model have in common.

    Args:
        api_name: Name of the model in requests.
        model_id: Its name in llm; the api_name by default.
        added: Whether a user added it: the document's bounds of options are not its own.
        removed: Whether the user removed it, or it left the document: a prompt to it fails.
        images: Whether it takes images.
        tools: Whether it takes tools.
        schema: Whether it takes a schema.
    """

    model_id = MODEL_ID
    needs_key: str | None = KEY_ALIAS
    key_env_var: str | None = KEY_VARIABLE
    can_stream = True
    Options = _Options()

    def __init__(
        self,
        api_name: str = MODEL_ID,
        model_id: str | None = None,
        *,
        added: bool = False,
        removed: bool = False,
        images: bool = True,
        tools: bool = True,
        schema: bool = True,
    ) -> None:
        self.api_name = api_name
        self.model_id = model_id or api_name
        self.added = added
        self.removed = removed
        self.images = images
        self.supports_tools = tools
        self.supports_schema = schema

    @property
    def attachment_types(self) -> frozenset[str]:
        """Media types of the attachments that the model takes; llm reads it."""
        from ..constants import IMAGE_TYPES

        return frozenset(IMAGE_TYPES if self.images else ())

    def __str__(self) -> str:
        return f"EvoLink: {self.model_id}{' (removed)' if self.removed else ''}"

    def get_key(self, explicit_key: str | None = None) -> str:
        """Return the key that llm finds, without white space around it.

        Raises MissingKeyError, and AuthenticationError for a key that no header can hold.
        """
        from .. import errors

        try:
            key = str(super().get_key(explicit_key)).strip()  # type: ignore[misc]
        except llm.NeedsKeyException as missing:
            raise errors.MissingKeyError(str(missing)) from None
        if not key:
            raise errors.MissingKeyError(
                f"No key found - add one using 'llm keys set {self.needs_key}' or set the "
                f"{self.key_env_var} environment variable"
            )
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise errors.AuthenticationError(
                "The EvoLink key holds a character that no key has: a space, or a quotation mark "
                "of an editor"
            )
        return key

    def _validate_attachments(self, attachments: Any = None) -> None:
        """Check nothing: build_request() checks all attachments, also those of the history.

        llm's own check would send a request to a URL to find its type, and its error names no file.
        """


class EvolinkChat(_Evolink, llm.KeyModel):  # type: ignore[misc]  # attachment_types
    """gemini-3.5-flash over EvoLink."""

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
        from generated_client.errors import UnexpectedResponse

        from ..connection import clients as connection
        from .decoding import decode_event
        from .turn import Turn

        turn = Turn(prompt, stream, response, conversation, key or self.get_key())
        complete: Any = None
        try:
            client = connection.client(turn.key, turn.timeout)
            body = turn.request()
            if stream:
                events = api.sync_stream(client=client, body=body)
                events.read_other = decode_event
                try:
                    with events as chunks:
                        turn.read_headers(chunks.headers)
                        for chunk in chunks:
                            yield from turn.read_chunk(chunk)
                except UnexpectedResponse as other:  # Its content type is not that of a stream.
                    complete = other.status_code, other.headers, other.content, None
            else:
                found = api.sync_detailed(client=client, body=body)
                complete = found.status_code, found.headers, found.content, found.parsed
            if complete:
                yield from turn.read_complete(*complete)
        except Exception as failure:
            turn.fail(failure)
        yield from turn.finish()


class AsyncEvolinkChat(_Evolink, llm.AsyncKeyModel):  # type: ignore[misc]  # attachment_types
    """gemini-3.5-flash over EvoLink, for an event loop."""

    def execute(
        self,
        prompt: llm.Prompt,
        stream: bool,
        response: llm.AsyncResponse,
        conversation: llm.AsyncConversation | None = None,
        key: str | None = None,
    ) -> Any:
        """As EvolinkChat.execute, an asynchronous iterator."""
        from .async_reply import AsyncEvents
        from .turn import Turn

        return AsyncEvents(Turn(prompt, stream, response, conversation, key or self.get_key()))
