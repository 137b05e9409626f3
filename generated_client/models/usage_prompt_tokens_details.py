from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset, show_model

T = TypeVar("T", bound="UsagePromptTokensDetails")


@_attrs_define
class UsagePromptTokensDetails:
    """The input tokens by kind.

    Attributes:
        cached_tokens (int | Unset): Tokens found in the cache. Example: 0.
        text_tokens (int | Unset): Tokens of text. Example: 13.
        audio_tokens (int | Unset): Tokens of audio. Example: 0.
        image_tokens (int | Unset): Tokens of images. Example: 0.
    """

    cached_tokens: int | Unset = UNSET
    text_tokens: int | Unset = UNSET
    audio_tokens: int | Unset = UNSET
    image_tokens: int | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    __repr__ = show_model

    def to_dict(self) -> dict[str, Any]:
        cached_tokens = self.cached_tokens

        text_tokens = self.text_tokens

        audio_tokens = self.audio_tokens

        image_tokens = self.image_tokens

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if cached_tokens is not UNSET:
            field_dict["cached_tokens"] = cached_tokens
        if text_tokens is not UNSET:
            field_dict["text_tokens"] = text_tokens
        if audio_tokens is not UNSET:
            field_dict["audio_tokens"] = audio_tokens
        if image_tokens is not UNSET:
            field_dict["image_tokens"] = image_tokens

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        cached_tokens = d.pop("cached_tokens", UNSET)

        text_tokens = d.pop("text_tokens", UNSET)

        audio_tokens = d.pop("audio_tokens", UNSET)

        image_tokens = d.pop("image_tokens", UNSET)

        usage_prompt_tokens_details = cls(
            cached_tokens=cached_tokens,
            text_tokens=text_tokens,
            audio_tokens=audio_tokens,
            image_tokens=image_tokens,
        )

        usage_prompt_tokens_details.additional_properties = d
        return usage_prompt_tokens_details

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
