from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from .. import models as _models
from ..types import UNSET, Unset, show_model

if TYPE_CHECKING:
    from ..models.delta import Delta


T = TypeVar("T", bound="ChunkChoice")


@_attrs_define
class ChunkChoice:
    """A new piece of one reply.

    Attributes:
        index (int | None | Unset): Index of the reply.
        delta (Delta | None | Unset): What is new in the reply.
        finish_reason (None | str | Unset): Why the reply ended; null until it has. Known values are stop, length,
            content_filter and tool_calls; a server may send others.
        logprobs (Any | Unset): Log probabilities of the new tokens, when asked for.
    """

    index: int | None | Unset = UNSET
    delta: Delta | None | Unset = UNSET
    finish_reason: None | str | Unset = UNSET
    logprobs: Any | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    __repr__ = show_model

    def to_dict(self) -> dict[str, Any]:
        index: int | None | Unset
        if isinstance(self.index, Unset):
            index = UNSET
        else:
            index = self.index

        delta: dict[str, Any] | None | Unset
        if isinstance(self.delta, Unset):
            delta = UNSET
        elif self.delta is None:
            delta = self.delta
        else:
            delta = self.delta.to_dict()

        finish_reason: None | str | Unset
        if isinstance(self.finish_reason, Unset):
            finish_reason = UNSET
        else:
            finish_reason = self.finish_reason

        logprobs = self.logprobs

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if index is not UNSET:
            field_dict["index"] = index
        if delta is not UNSET:
            field_dict["delta"] = delta
        if finish_reason is not UNSET:
            field_dict["finish_reason"] = finish_reason
        if logprobs is not UNSET:
            field_dict["logprobs"] = logprobs

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        index: int | None | Unset = d.pop("index", UNSET)

        _delta = d.pop("delta", UNSET)
        delta: Delta | None | Unset
        if _delta is None or isinstance(_delta, Unset):
            delta = _delta
        else:
            delta_type_0 = _models.Delta.from_dict(_delta)

            delta = delta_type_0

        finish_reason: None | str | Unset = d.pop("finish_reason", UNSET)

        logprobs = d.pop("logprobs", UNSET)

        chunk_choice = cls(
            index=index,
            delta=delta,
            finish_reason=finish_reason,
            logprobs=logprobs,
        )

        chunk_choice.additional_properties = d
        return chunk_choice

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
