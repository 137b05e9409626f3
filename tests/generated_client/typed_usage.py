"""A typed program that uses the client; test_typing.py runs mypy on it."""

from collections.abc import AsyncIterator, Iterator

from generated_client import SERVERS, APIError, AuthenticatedClient, text
from generated_client.api.chat_completion import create_chat_completion_quick as chat
from generated_client.models import (
    ChatCompletionQuickRequest,
    ChatCompletionResponse,
    ErrorResponse,
    MessageSimple,
    StreamOptions,
    TextPart,
    Usage,
)
from generated_client.types import Response

client: AuthenticatedClient = AuthenticatedClient(base_url=SERVERS[0], token="sk-…")
body = ChatCompletionQuickRequest(
    model="gemini-3.5-flash",
    messages=[
        MessageSimple(role="system", content="Be brief"),
        MessageSimple(role="user", content=[TextPart(type_="text", text="Hi")]),
    ],
    temperature=0.5,
    reasoning_effort="low",
    tool_choice="auto",
    stream_options=StreamOptions(include_usage=True),
)


def content(parsed: ChatCompletionResponse | ErrorResponse | None) -> str | None:
    if isinstance(parsed, ErrorResponse):
        return parsed.error.message or None if parsed.error else None
    if parsed and parsed.choices and (message := parsed.choices[0].message):
        return message.content or None
    return None


def patient() -> AuthenticatedClient:
    return client.with_headers({"X-App": "a"}).with_cookies({"a": "b"}).with_timeout(900)


def problem(error: APIError) -> tuple[int, str | None, ErrorResponse | None, str | None]:
    return error.status_code, error.request_id, error.parsed, error.headers.get("retry-after")


def total(usage: Usage) -> float:
    return usage.total_tokens or 0


def reply() -> str | None:
    with client:
        return content(chat.sync(client=client, body=body))


def detailed() -> tuple[int, bytes, str]:
    response = chat.sync_detailed(client=client, body=body)
    return response.status_code, response.content, response.headers["x-request-id"]


def stream() -> Iterator[str]:
    with chat.sync_stream(client=client, body=body) as chunks:
        for chunk in chunks:
            yield text(chunk)


async def areply() -> str | None:
    async with client:
        return content(await chat.asyncio(client=client, body=body))


async def adetailed() -> Response[ChatCompletionResponse | ErrorResponse]:
    return await chat.asyncio_detailed(client=client, body=body)


async def astream() -> AsyncIterator[str]:
    async with chat.asyncio_stream(client=client, body=body) as chunks:
        async for chunk in chunks:
            yield text(chunk)
