from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from .. import models as _models
from ..types import UNSET, Unset, show_model

if TYPE_CHECKING:
    from ..models.tool_call_delta import ToolCallDelta


T = TypeVar("T", bound="AssistantMessage")


@_attrs_define
class AssistantMessage:
    """What the model replied.

    Attributes:
        role (None | str | Unset): Who speaks: assistant. Example: assistant.
        content (None | str | Unset): Text of the reply; null when it is only tool calls. Example: Hello! I am a large
            language model.
        reasoning_content (None | str | Unset): What the model thought.
        reasoning (None | str | Unset): The same under another name.
        tool_calls (list[ToolCallDelta] | None | Unset): Tools the model wants called.
    """

    role: None | str | Unset = UNSET
    content: None | str | Unset = UNSET
    reasoning_content: None | str | Unset = UNSET
    reasoning: None | str | Unset = UNSET
    tool_calls: list[ToolCallDelta] | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    __repr__ = show_model

    def to_dict(self) -> dict[str, Any]:
        role: None | str | Unset
        if isinstance(self.role, Unset):
            role = UNSET
        else:
            role = self.role

        content: None | str | Unset
        if isinstance(self.content, Unset):
            content = UNSET
        else:
            content = self.content

        reasoning_content: None | str | Unset
        if isinstance(self.reasoning_content, Unset):
            reasoning_content = UNSET
        else:
            reasoning_content = self.reasoning_content

        reasoning: None | str | Unset
        if isinstance(self.reasoning, Unset):
            reasoning = UNSET
        else:
            reasoning = self.reasoning

        tool_calls: list[dict[str, Any]] | None | Unset
        if isinstance(self.tool_calls, Unset):
            tool_calls = UNSET
        elif isinstance(self.tool_calls, list):
            tool_calls = []
            for tool_calls_type_0_item_data in self.tool_calls:
                tool_calls_type_0_item = tool_calls_type_0_item_data.to_dict()
                tool_calls.append(tool_calls_type_0_item)

        else:
            tool_calls = self.tool_calls

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if role is not UNSET:
            field_dict["role"] = role
        if content is not UNSET:
            field_dict["content"] = content
        if reasoning_content is not UNSET:
            field_dict["reasoning_content"] = reasoning_content
        if reasoning is not UNSET:
            field_dict["reasoning"] = reasoning
        if tool_calls is not UNSET:
            field_dict["tool_calls"] = tool_calls

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        role: None | str | Unset = d.pop("role", UNSET)

        content: None | str | Unset = d.pop("content", UNSET)

        reasoning_content: None | str | Unset = d.pop("reasoning_content", UNSET)

        reasoning: None | str | Unset = d.pop("reasoning", UNSET)

        _tool_calls = d.pop("tool_calls", UNSET)
        tool_calls: list[ToolCallDelta] | None | Unset
        if _tool_calls is None or isinstance(_tool_calls, Unset):
            tool_calls = _tool_calls
        else:
            tool_calls_type_0 = []
            _tool_calls_type_0 = _tool_calls
            for tool_calls_type_0_item_data in _tool_calls_type_0:
                tool_calls_type_0_item = _models.ToolCallDelta.from_dict(
                    tool_calls_type_0_item_data
                )

                tool_calls_type_0.append(tool_calls_type_0_item)

            tool_calls = tool_calls_type_0

        assistant_message = cls(
            role=role,
            content=content,
            reasoning_content=reasoning_content,
            reasoning=reasoning,
            tool_calls=tool_calls,
        )

        assistant_message.additional_properties = d
        return assistant_message

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
