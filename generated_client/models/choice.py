from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from .. import models as _models
from ..types import UNSET, Unset, show_model

if TYPE_CHECKING:
    from ..models.assistant_message import AssistantMessage


T = TypeVar("T", bound="Choice")


@_attrs_define
class Choice:
    """One reply, and why it ended.

    Attributes:
        index (int | Unset): Index of the reply. Example: 0.
        finish_reason (None | str | Unset): Why the reply ended. Known values are stop, length (cut by a token limit),
            content_filter (withheld by a filter) and tool_calls; a server may send others. Example: stop.
        message (AssistantMessage | None | Unset): The reply itself; null where a filter withheld it.
        logprobs (Any | Unset): Log probabilities of the tokens, when asked for.
    """

    index: int | Unset = UNSET
    finish_reason: None | str | Unset = UNSET
    message: AssistantMessage | None | Unset = UNSET
    logprobs: Any | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    __repr__ = show_model

    def to_dict(self) -> dict[str, Any]:
        index = self.index

        finish_reason: None | str | Unset
        if isinstance(self.finish_reason, Unset):
            finish_reason = UNSET
        else:
            finish_reason = self.finish_reason

        message: dict[str, Any] | None | Unset
        if isinstance(self.message, Unset):
            message = UNSET
        elif self.message is None:
            message = self.message
        else:
            message = self.message.to_dict()

        logprobs = self.logprobs

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if index is not UNSET:
            field_dict["index"] = index
        if finish_reason is not UNSET:
            field_dict["finish_reason"] = finish_reason
        if message is not UNSET:
            field_dict["message"] = message
        if logprobs is not UNSET:
            field_dict["logprobs"] = logprobs

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        index = d.pop("index", UNSET)

        finish_reason: None | str | Unset = d.pop("finish_reason", UNSET)

        _message = d.pop("message", UNSET)
        message: AssistantMessage | None | Unset
        if _message is None or isinstance(_message, Unset):
            message = _message
        else:
            message_type_0 = _models.AssistantMessage.from_dict(_message)

            message = message_type_0

        logprobs = d.pop("logprobs", UNSET)

        choice = cls(
            index=index,
            finish_reason=finish_reason,
            message=message,
            logprobs=logprobs,
        )

        choice.additional_properties = d
        return choice

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
