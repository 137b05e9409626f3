from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from .. import models as _models
from ..models.chat_completion_quick_request_model import (
    ChatCompletionQuickRequestModel,
    check_chat_completion_quick_request_model,
)
from ..models.chat_completion_quick_request_reasoning_effort import (
    ChatCompletionQuickRequestReasoningEffort,
    check_chat_completion_quick_request_reasoning_effort,
)
from ..models.tool_choice_mode import ToolChoiceMode, check_tool_choice_mode
from ..types import UNSET, Unset, show_model

if TYPE_CHECKING:
    from ..models.json_object_format import JsonObjectFormat
    from ..models.json_schema_format import JsonSchemaFormat
    from ..models.message_simple import MessageSimple
    from ..models.named_tool_choice import NamedToolChoice
    from ..models.stream_options import StreamOptions
    from ..models.text_format import TextFormat
    from ..models.tool import Tool


T = TypeVar("T", bound="ChatCompletionQuickRequest")


@_attrs_define
class ChatCompletionQuickRequest:
    """The model, the chat so far and how to answer.

    Attributes:
        model (ChatCompletionQuickRequestModel): Name of the chat model. Default: 'gemini-3.5-flash'. Example:
            gemini-3.5-flash.
        messages (list[MessageSimple]): The messages of the chat, oldest first. Example: [{'role': 'user', 'content':
            'Hello, introduce yourself'}].
        stream (bool | Unset): Send the reply as server-sent events while it is made.
        stream_options (StreamOptions | Unset): What a stream holds.
        max_tokens (int | Unset): Most tokens to generate, reasoning included, 1 to 65536.
        max_completion_tokens (int | Unset): Newer name of max_tokens, 1 to 65536.
        temperature (float | Unset): Randomness, 0 (least) to 2.
        top_p (float | Unset): Nucleus sampling, the share of probability to draw from, 0 to 1.
        frequency_penalty (float | Unset): Penalty on tokens by how often they came, -2 to 2.
        presence_penalty (float | Unset): Penalty on tokens that came at all, -2 to 2.
        stop (list[str] | str | Unset): Text, or several, at which to stop; the text itself is not sent.
        n (int | Unset): How many replies to make, at least 1.
        seed (int | Unset): Seed of the sampling, 0 to 2147483647; the same seed aims at the same result.
        logprobs (bool | Unset): Send the log probability of each token.
        top_logprobs (int | Unset): With logprobs, how many likely tokens to list at each place, 0 to 20.
        reasoning_effort (ChatCompletionQuickRequestReasoningEffort | Unset): How much to think before the answer.
        tools (list[Tool] | Unset): Functions the model may call.
        tool_choice (NamedToolChoice | ToolChoiceMode | Unset): Whether the model may (auto), must (required) or must
            not (none) call a tool, or which one.
        response_format (JsonObjectFormat | JsonSchemaFormat | TextFormat | Unset): Free text, any JSON object, or JSON
            that fits a schema.
    """

    messages: list[MessageSimple]
    model: ChatCompletionQuickRequestModel = "gemini-3.5-flash"
    stream: bool | Unset = UNSET
    stream_options: StreamOptions | Unset = UNSET
    max_tokens: int | Unset = UNSET
    max_completion_tokens: int | Unset = UNSET
    temperature: float | Unset = UNSET
    top_p: float | Unset = UNSET
    frequency_penalty: float | Unset = UNSET
    presence_penalty: float | Unset = UNSET
    stop: list[str] | str | Unset = UNSET
    n: int | Unset = UNSET
    seed: int | Unset = UNSET
    logprobs: bool | Unset = UNSET
    top_logprobs: int | Unset = UNSET
    reasoning_effort: ChatCompletionQuickRequestReasoningEffort | Unset = UNSET
    tools: list[Tool] | Unset = UNSET
    tool_choice: NamedToolChoice | ToolChoiceMode | Unset = UNSET
    response_format: JsonObjectFormat | JsonSchemaFormat | TextFormat | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    __repr__ = show_model

    def to_dict(self) -> dict[str, Any]:
        model: str = self.model

        messages = []
        for messages_item_data in self.messages:
            messages_item = messages_item_data.to_dict()
            messages.append(messages_item)

        stream = self.stream

        stream_options: dict[str, Any] | Unset = UNSET
        if not isinstance(self.stream_options, Unset):
            stream_options = self.stream_options.to_dict()

        max_tokens = self.max_tokens

        max_completion_tokens = self.max_completion_tokens

        temperature = self.temperature

        top_p = self.top_p

        frequency_penalty = self.frequency_penalty

        presence_penalty = self.presence_penalty

        stop: list[str] | str | Unset
        if isinstance(self.stop, Unset):
            stop = UNSET
        elif isinstance(self.stop, list):
            stop = self.stop

        else:
            stop = self.stop

        n = self.n

        seed = self.seed

        logprobs = self.logprobs

        top_logprobs = self.top_logprobs

        reasoning_effort: str | Unset = UNSET
        if not isinstance(self.reasoning_effort, Unset):
            reasoning_effort = self.reasoning_effort

        tools: list[dict[str, Any]] | Unset = UNSET
        if not isinstance(self.tools, Unset):
            tools = []
            for tools_item_data in self.tools:
                tools_item = tools_item_data.to_dict()
                tools.append(tools_item)

        tool_choice: dict[str, Any] | str | Unset
        if isinstance(self.tool_choice, Unset):
            tool_choice = UNSET
        elif isinstance(self.tool_choice, str):
            tool_choice = self.tool_choice
        else:
            tool_choice = self.tool_choice.to_dict()

        response_format: dict[str, Any] | Unset
        if isinstance(self.response_format, Unset):
            response_format = UNSET
        else:
            response_format = self.response_format.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "model": model,
                "messages": messages,
            }
        )
        if stream is not UNSET:
            field_dict["stream"] = stream
        if stream_options is not UNSET:
            field_dict["stream_options"] = stream_options
        if max_tokens is not UNSET:
            field_dict["max_tokens"] = max_tokens
        if max_completion_tokens is not UNSET:
            field_dict["max_completion_tokens"] = max_completion_tokens
        if temperature is not UNSET:
            field_dict["temperature"] = temperature
        if top_p is not UNSET:
            field_dict["top_p"] = top_p
        if frequency_penalty is not UNSET:
            field_dict["frequency_penalty"] = frequency_penalty
        if presence_penalty is not UNSET:
            field_dict["presence_penalty"] = presence_penalty
        if stop is not UNSET:
            field_dict["stop"] = stop
        if n is not UNSET:
            field_dict["n"] = n
        if seed is not UNSET:
            field_dict["seed"] = seed
        if logprobs is not UNSET:
            field_dict["logprobs"] = logprobs
        if top_logprobs is not UNSET:
            field_dict["top_logprobs"] = top_logprobs
        if reasoning_effort is not UNSET:
            field_dict["reasoning_effort"] = reasoning_effort
        if tools is not UNSET:
            field_dict["tools"] = tools
        if tool_choice is not UNSET:
            field_dict["tool_choice"] = tool_choice
        if response_format is not UNSET:
            field_dict["response_format"] = response_format

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        model = check_chat_completion_quick_request_model(d.pop("model"))

        messages = []
        _messages = d.pop("messages")
        for messages_item_data in _messages:
            messages_item = _models.MessageSimple.from_dict(messages_item_data)

            messages.append(messages_item)

        stream = d.pop("stream", UNSET)

        _stream_options = d.pop("stream_options", UNSET)
        stream_options: StreamOptions | Unset
        if isinstance(_stream_options, Unset):
            stream_options = UNSET
        else:
            stream_options = _models.StreamOptions.from_dict(_stream_options)

        max_tokens = d.pop("max_tokens", UNSET)

        max_completion_tokens = d.pop("max_completion_tokens", UNSET)

        temperature = d.pop("temperature", UNSET)

        top_p = d.pop("top_p", UNSET)

        frequency_penalty = d.pop("frequency_penalty", UNSET)

        presence_penalty = d.pop("presence_penalty", UNSET)

        def _parse_stop(data: object) -> list[str] | str | Unset:
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, list):
                    raise TypeError()
                stop_type_1 = cast(list[str], data)

                return stop_type_1
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            unread: list[str] | str | Unset = cast(Any, data)
            return unread

        stop = _parse_stop(d.pop("stop", UNSET))

        n = d.pop("n", UNSET)

        seed = d.pop("seed", UNSET)

        logprobs = d.pop("logprobs", UNSET)

        top_logprobs = d.pop("top_logprobs", UNSET)

        _reasoning_effort = d.pop("reasoning_effort", UNSET)
        reasoning_effort: ChatCompletionQuickRequestReasoningEffort | Unset
        if isinstance(_reasoning_effort, Unset):
            reasoning_effort = UNSET
        else:
            reasoning_effort = check_chat_completion_quick_request_reasoning_effort(
                _reasoning_effort
            )

        _tools = d.pop("tools", UNSET)
        tools: list[Tool] | Unset = UNSET
        if _tools is not UNSET:
            tools = []
            for tools_item_data in _tools:
                tools_item = _models.Tool.from_dict(tools_item_data)

                tools.append(tools_item)

        def _parse_tool_choice(
            data: object,
        ) -> NamedToolChoice | ToolChoiceMode | Unset:
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                tool_choice_type_0 = check_tool_choice_mode(data)

                return tool_choice_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            if not isinstance(data, dict):
                raise TypeError()
            tool_choice_type_1 = _models.NamedToolChoice.from_dict(data)

            return tool_choice_type_1

        tool_choice = _parse_tool_choice(d.pop("tool_choice", UNSET))

        def _parse_response_format(
            data: object,
        ) -> JsonObjectFormat | JsonSchemaFormat | TextFormat | Unset:
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                response_format_type_0 = _models.TextFormat.from_dict(data)

                return response_format_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                response_format_type_1 = _models.JsonObjectFormat.from_dict(data)

                return response_format_type_1
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            if not isinstance(data, dict):
                raise TypeError()
            response_format_type_2 = _models.JsonSchemaFormat.from_dict(data)

            return response_format_type_2

        response_format = _parse_response_format(d.pop("response_format", UNSET))

        chat_completion_quick_request = cls(
            model=model,
            messages=messages,
            stream=stream,
            stream_options=stream_options,
            max_tokens=max_tokens,
            max_completion_tokens=max_completion_tokens,
            temperature=temperature,
            top_p=top_p,
            frequency_penalty=frequency_penalty,
            presence_penalty=presence_penalty,
            stop=stop,
            n=n,
            seed=seed,
            logprobs=logprobs,
            top_logprobs=top_logprobs,
            reasoning_effort=reasoning_effort,
            tools=tools,
            tool_choice=tool_choice,
            response_format=response_format,
        )

        chat_completion_quick_request.additional_properties = d
        return chat_completion_quick_request

    @property
    def additional_keys(self) -> list[str]:
        return list(self.additional_properties.keys())

    def __getitem__(self, key: str) -> Any:
        return self.additional_properties[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.additional_properties[key] = value

    def __delitem__(self, key: str) -> None:
        del self.additional_properties[key]

    def __contains__(self, key: str) -> bool:
        return key in self.additional_properties
