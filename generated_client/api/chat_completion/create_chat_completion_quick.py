from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx

from ... import errors
from ... import models as _models
from ... import responses as _responses
from ...client import AuthenticatedClient, Client
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
        response_200 = _models.ChatCompletionResponse.from_dict(
            _responses.json_object(response)
        )

        return response_200

    if response.status_code == 400:
        response_400 = _models.ErrorResponse.from_dict(_responses.json_object(response))

        return response_400

    if response.status_code == 401:
        response_401 = _models.ErrorResponse.from_dict(_responses.json_object(response))

        return response_401

    if response.status_code == 402:
        response_402 = _models.ErrorResponse.from_dict(_responses.json_object(response))

        return response_402

    if response.status_code == 403:
        response_403 = _models.ErrorResponse.from_dict(_responses.json_object(response))

        return response_403

    if response.status_code == 404:
        response_404 = _models.ErrorResponse.from_dict(_responses.json_object(response))

        return response_404

    if response.status_code == 413:
        response_413 = _models.ErrorResponse.from_dict(_responses.json_object(response))

        return response_413

    if response.status_code == 429:
        response_429 = _models.ErrorResponse.from_dict(_responses.json_object(response))

        return response_429

    if response.status_code == 500:
        response_500 = _models.ErrorResponse.from_dict(_responses.json_object(response))

        return response_500

    if response.status_code == 502:
        response_502 = _models.ErrorResponse.from_dict(_responses.json_object(response))

        return response_502

    if response.status_code == 503:
        response_503 = _models.ErrorResponse.from_dict(_responses.json_object(response))

        return response_503

    if client.raise_on_unexpected_status:
        raise _responses.unexpected(errors.UnexpectedStatus, client, response)
    else:
        return None


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[ChatCompletionResponse | ErrorResponse]:
    return Response(
        status_code=response.status_code,
        content=response.content,
        headers=response.headers,
        parsed=_responses.parse_or_none(
            _parse_response, client=client, response=response
        ),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    body: ChatCompletionQuickRequest,
) -> Response[ChatCompletionResponse | ErrorResponse]:
    """Chat with gemini-3.5-flash

    Sends the messages of a chat and returns the reply of the model, in the OpenAI chat-completions
    format.

    Returns the response with its status and headers, whatever the status; parsed is None for a
    status or a body that the API description does not describe.

    Args:
        client (AuthenticatedClient): Server, token, time-outs and other settings of the connection.
        body (ChatCompletionQuickRequest): The model, the chat so far and how to answer.

    Raises:
        httpx.TimeoutException: If a step of the request takes longer than the client's timeout.
        httpx.RequestError: If the connection fails, or the body cannot be decompressed.

    Returns:
        Response[ChatCompletionResponse | ErrorResponse]

    Example:
        with AuthenticatedClient(base_url=SERVERS[0], token=key) as client:
            response = sync_detailed(client=client, body=body)
            print(response)
    """

    kwargs = _get_kwargs(
        body=body,
    )

    response = _responses.send(client, kwargs)

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient,
    body: ChatCompletionQuickRequest,
) -> ChatCompletionResponse | ErrorResponse | None:
    """Chat with gemini-3.5-flash

    Sends the messages of a chat and returns the reply of the model, in the OpenAI chat-completions
    format.

    Returns the parsed body, of a success or of an error that the API description describes.

    Args:
        client (AuthenticatedClient): Server, token, time-outs and other settings of the connection.
        body (ChatCompletionQuickRequest): The model, the chat so far and how to answer.

    Raises:
        errors.UnexpectedStatus: If the status is not in the API description.
        errors.UnexpectedResponse: If the body cannot be decoded as the API description says. With
            Client.raise_on_unexpected_status=False, neither is raised and the result is None.
        httpx.TimeoutException: If a step of the request takes longer than the client's timeout.
        httpx.RequestError: If the connection fails, or the body cannot be decompressed.

    Returns:
        ChatCompletionResponse | ErrorResponse | None

    Example:
        with AuthenticatedClient(base_url=SERVERS[0], token=key) as client:
            response = sync(client=client, body=body)
            print(response)
    """

    response = _responses.send(
        client,
        _get_kwargs(
            body=body,
        ),
    )
    return _responses.parse_or_raise(_parse_response, client=client, response=response)


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    body: ChatCompletionQuickRequest,
) -> Response[ChatCompletionResponse | ErrorResponse]:
    """Chat with gemini-3.5-flash

    Sends the messages of a chat and returns the reply of the model, in the OpenAI chat-completions
    format.

    Returns the response with its status and headers, whatever the status; parsed is None for a
    status or a body that the API description does not describe.

    Args:
        client (AuthenticatedClient): Server, token, time-outs and other settings of the connection.
        body (ChatCompletionQuickRequest): The model, the chat so far and how to answer.

    Raises:
        httpx.TimeoutException: If a step of the request takes longer than the client's timeout.
        httpx.RequestError: If the connection fails, or the body cannot be decompressed.

    Returns:
        Response[ChatCompletionResponse | ErrorResponse]

    Example:
        async with AuthenticatedClient(base_url=SERVERS[0], token=key) as client:
            response = await asyncio_detailed(client=client, body=body)
            print(response)
    """

    kwargs = _get_kwargs(
        body=body,
    )

    response = await _responses.asend(client, kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient,
    body: ChatCompletionQuickRequest,
) -> ChatCompletionResponse | ErrorResponse | None:
    """Chat with gemini-3.5-flash

    Sends the messages of a chat and returns the reply of the model, in the OpenAI chat-completions
    format.

    Returns the parsed body, of a success or of an error that the API description describes.

    Args:
        client (AuthenticatedClient): Server, token, time-outs and other settings of the connection.
        body (ChatCompletionQuickRequest): The model, the chat so far and how to answer.

    Raises:
        errors.UnexpectedStatus: If the status is not in the API description.
        errors.UnexpectedResponse: If the body cannot be decoded as the API description says. With
            Client.raise_on_unexpected_status=False, neither is raised and the result is None.
        httpx.TimeoutException: If a step of the request takes longer than the client's timeout.
        httpx.RequestError: If the connection fails, or the body cannot be decompressed.

    Returns:
        ChatCompletionResponse | ErrorResponse | None

    Example:
        async with AuthenticatedClient(base_url=SERVERS[0], token=key) as client:
            response = await asyncio(client=client, body=body)
            print(response)
    """

    response = await _responses.asend(
        client,
        _get_kwargs(
            body=body,
        ),
    )
    return _responses.parse_or_raise(_parse_response, client=client, response=response)


def _stream_kwargs(
    *,
    body: ChatCompletionQuickRequest,
) -> dict[str, Any]:
    stream_kwargs = _get_kwargs(
        body=body,
    )
    stream_kwargs["json"]["stream"] = True
    stream_kwargs["headers"]["Accept"] = "text/event-stream, application/json"
    # A compressed event could be held back until the next, or be a thousand times its size.
    stream_kwargs["headers"]["Accept-Encoding"] = "identity"
    return stream_kwargs


def sync_stream(
    *,
    client: AuthenticatedClient,
    body: ChatCompletionQuickRequest,
) -> _responses.EventStream[ChatCompletionChunk]:
    """Chat with gemini-3.5-flash

    Sends the messages of a chat and returns the reply of the model, in the OpenAI chat-completions
    format.

    Returns a context manager, which asks for a stream, whatever the body says, and is iterated
    over for its chunks as they arrive. Entering and iterating raise what is listed here; the
    chunks before an error are delivered.

    Args:
        client (AuthenticatedClient): Server, token, time-outs and other settings of the connection.
        body (ChatCompletionQuickRequest): The model, the chat so far and how to answer.

    Raises:
        errors.UnexpectedResponse: If the response is not an event stream with status 200.
        errors.ErrorEvent: If the server reports an error inside the stream.
        errors.InvalidEvent: If an event cannot be decoded as the API description says.
        errors.EventTooLarge: If responses.MAX_EVENT_BYTES arrive without a complete event.
        errors.IncompleteStream: If the stream ends without [DONE].
        httpx.TimeoutException: If a step of the request takes longer than the client's timeout.
        httpx.RequestError: If the connection fails, or the body cannot be decompressed.

    Returns:
        EventStream[ChatCompletionChunk]

    Example:
        with AuthenticatedClient(base_url=SERVERS[0], token=key) as client:
            with sync_stream(client=client, body=body) as chunks:
                for chunk in chunks:
                    print(chunk)
    """

    return _responses.EventStream(
        client,
        _stream_kwargs(
            body=body,
        ),
        _models.ChatCompletionChunk.from_dict,
    )


def asyncio_stream(
    *,
    client: AuthenticatedClient,
    body: ChatCompletionQuickRequest,
) -> _responses.AsyncEventStream[ChatCompletionChunk]:
    """Chat with gemini-3.5-flash

    Sends the messages of a chat and returns the reply of the model, in the OpenAI chat-completions
    format.

    Returns a context manager, which asks for a stream, whatever the body says, and is iterated
    over for its chunks as they arrive. Entering and iterating raise what is listed here; the
    chunks before an error are delivered.

    Args:
        client (AuthenticatedClient): Server, token, time-outs and other settings of the connection.
        body (ChatCompletionQuickRequest): The model, the chat so far and how to answer.

    Raises:
        errors.UnexpectedResponse: If the response is not an event stream with status 200.
        errors.ErrorEvent: If the server reports an error inside the stream.
        errors.InvalidEvent: If an event cannot be decoded as the API description says.
        errors.EventTooLarge: If responses.MAX_EVENT_BYTES arrive without a complete event.
        errors.IncompleteStream: If the stream ends without [DONE].
        httpx.TimeoutException: If a step of the request takes longer than the client's timeout.
        httpx.RequestError: If the connection fails, or the body cannot be decompressed.

    Returns:
        AsyncEventStream[ChatCompletionChunk]

    Example:
        async with AuthenticatedClient(base_url=SERVERS[0], token=key) as client:
            async with asyncio_stream(client=client, body=body) as chunks:
                async for chunk in chunks:
                    print(chunk)
    """

    return _responses.AsyncEventStream(
        client,
        _stream_kwargs(
            body=body,
        ),
        _models.ChatCompletionChunk.from_dict,
    )
