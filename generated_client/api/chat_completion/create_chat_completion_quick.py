from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx

from ... import errors
from ... import models as _models
from ...client import AuthenticatedClient, Client
from ...responses import AsyncEventStream, EventStream, json_object, parse_or_none
from ...types import Response

if TYPE_CHECKING:
    from ...models.chat_completion_chunk import ChatCompletionChunk
    from ...models.chat_completion_quick_request import ChatCompletionQuickRequest
    from ...models.chat_completion_response import ChatCompletionResponse
    from ...models.error_response import ErrorResponse


def _get_kwargs(
    *,
    body: ChatCompletionQuickRequest,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/v1/chat/completions",
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ChatCompletionResponse | ErrorResponse | None:
    if response.status_code == 200:
        response_200 = _models.ChatCompletionResponse.from_dict(json_object(response))

        return response_200

    if response.status_code == 400:
        response_400 = _models.ErrorResponse.from_dict(json_object(response))

        return response_400

    if response.status_code == 401:
        response_401 = _models.ErrorResponse.from_dict(json_object(response))

        return response_401

    if response.status_code == 402:
        response_402 = _models.ErrorResponse.from_dict(json_object(response))

        return response_402

    if response.status_code == 403:
        response_403 = _models.ErrorResponse.from_dict(json_object(response))

        return response_403

    if response.status_code == 404:
        response_404 = _models.ErrorResponse.from_dict(json_object(response))

        return response_404

    if response.status_code == 413:
        response_413 = _models.ErrorResponse.from_dict(json_object(response))

        return response_413

    if response.status_code == 429:
        response_429 = _models.ErrorResponse.from_dict(json_object(response))

        return response_429

    if response.status_code == 500:
        response_500 = _models.ErrorResponse.from_dict(json_object(response))

        return response_500

    if response.status_code == 502:
        response_502 = _models.ErrorResponse.from_dict(json_object(response))

        return response_502

    if response.status_code == 503:
        response_503 = _models.ErrorResponse.from_dict(json_object(response))

        return response_503

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[ChatCompletionResponse | ErrorResponse]:
    return Response(
        status_code=response.status_code,
        content=response.content,
        headers=response.headers,
        parsed=parse_or_none(_parse_response, client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    body: ChatCompletionQuickRequest,
) -> Response[ChatCompletionResponse | ErrorResponse]:
    """Chat with gemini-3.5-flash

     Sends the messages of a chat and returns the reply of the model, in the OpenAI chat-completions
    format.

    Args:
        body (ChatCompletionQuickRequest): The model, the chat so far and how to answer.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        errors.UnexpectedResponse: If the body does not fit the document and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ChatCompletionResponse | ErrorResponse]
    """

    kwargs = _get_kwargs(
        body=body,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient,
    body: ChatCompletionQuickRequest,
) -> ChatCompletionResponse | ErrorResponse | None:
    """Chat with gemini-3.5-flash

     Sends the messages of a chat and returns the reply of the model, in the OpenAI chat-completions
    format.

    Args:
        body (ChatCompletionQuickRequest): The model, the chat so far and how to answer.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        errors.UnexpectedResponse: If the body does not fit the document and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ChatCompletionResponse | ErrorResponse
    """

    return sync_detailed(
        client=client,
        body=body,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    body: ChatCompletionQuickRequest,
) -> Response[ChatCompletionResponse | ErrorResponse]:
    """Chat with gemini-3.5-flash

     Sends the messages of a chat and returns the reply of the model, in the OpenAI chat-completions
    format.

    Args:
        body (ChatCompletionQuickRequest): The model, the chat so far and how to answer.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        errors.UnexpectedResponse: If the body does not fit the document and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ChatCompletionResponse | ErrorResponse]
    """

    kwargs = _get_kwargs(
        body=body,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient,
    body: ChatCompletionQuickRequest,
) -> ChatCompletionResponse | ErrorResponse | None:
    """Chat with gemini-3.5-flash

     Sends the messages of a chat and returns the reply of the model, in the OpenAI chat-completions
    format.

    Args:
        body (ChatCompletionQuickRequest): The model, the chat so far and how to answer.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        errors.UnexpectedResponse: If the body does not fit the document and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ChatCompletionResponse | ErrorResponse
    """

    return (
        await asyncio_detailed(
            client=client,
            body=body,
        )
    ).parsed


def _stream_kwargs(
    *,
    body: ChatCompletionQuickRequest,
) -> dict[str, Any]:
    stream_kwargs = _get_kwargs(
        body=body,
    )
    stream_kwargs["json"]["stream"] = True
    stream_kwargs["headers"]["Accept"] = "text/event-stream"
    # Compressed, an event could be held back until the next, or be a thousand times its size.
    stream_kwargs["headers"]["Accept-Encoding"] = "identity"
    return stream_kwargs


def sync_stream(
    *,
    client: AuthenticatedClient,
    body: ChatCompletionQuickRequest,
) -> EventStream[ChatCompletionChunk]:
    """Chat with gemini-3.5-flash

     Sends the messages of a chat and returns the reply of the model, in the OpenAI chat-completions
    format.

    Asks for a stream, whatever the body says, and gives its chunks as they come:

        with sync_stream(client=client, body=body) as chunks:
            for chunk in chunks:
                ...

    Args:
        body (ChatCompletionQuickRequest): The model, the chat so far and how to answer.

    Raises:
        errors.UnexpectedResponse: If the response is not an event stream with status 200.
        errors.InvalidEvent: If an event does not fit the document.
        errors.EventTooLarge: If responses.MAX_EVENT_BYTES came without a complete event.
        errors.IncompleteStream: If the stream ended without [DONE].
        httpx.TimeoutException: If the server is silent for longer than Client.timeout.
        httpx.RequestError: If the connection fails, or what it brings cannot be decompressed.

    Returns:
        EventStream[ChatCompletionChunk]
    """

    stream_kwargs = _stream_kwargs(
        body=body,
    )
    return EventStream(client, stream_kwargs, _models.ChatCompletionChunk.from_dict)


def asyncio_stream(
    *,
    client: AuthenticatedClient,
    body: ChatCompletionQuickRequest,
) -> AsyncEventStream[ChatCompletionChunk]:
    """As sync_stream, for an event loop:

        async with asyncio_stream(client=client, body=body) as chunks:
            async for chunk in chunks:
                ...

    Raises:
        As sync_stream.

    Returns:
        AsyncEventStream[ChatCompletionChunk]
    """

    stream_kwargs = _stream_kwargs(
        body=body,
    )
    return AsyncEventStream(
        client, stream_kwargs, _models.ChatCompletionChunk.from_dict
    )
