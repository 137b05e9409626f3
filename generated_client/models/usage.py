from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from .. import models as _models
from ..types import UNSET, Unset, show_model

if TYPE_CHECKING:
    from ..models.usage_completion_tokens_details import UsageCompletionTokensDetails
    from ..models.usage_input_tokens_details import UsageInputTokensDetails
    from ..models.usage_prompt_tokens_details import UsagePromptTokensDetails


T = TypeVar("T", bound="Usage")


@_attrs_define
class Usage:
    """How many tokens were used.

    Attributes:
        prompt_tokens (int | Unset): Tokens of the input. Example: 13.
        completion_tokens (int | Unset): Tokens of the output, reasoning included. Example: 1891.
        total_tokens (int | Unset): Tokens in all. Example: 1904.
        prompt_tokens_details (None | Unset | UsagePromptTokensDetails): The input tokens by kind.
        completion_tokens_details (None | Unset | UsageCompletionTokensDetails): The output tokens by kind.
        input_tokens (int | Unset): For compatibility; 0 where prompt_tokens holds the count. Example: 0.
        output_tokens (int | Unset): For compatibility; 0 where completion_tokens holds the count. Example: 0.
        input_tokens_details (None | Unset | UsageInputTokensDetails): For compatibility; often null.
    """

    prompt_tokens: int | Unset = UNSET
    completion_tokens: int | Unset = UNSET
    total_tokens: int | Unset = UNSET
    prompt_tokens_details: None | Unset | UsagePromptTokensDetails = UNSET
    completion_tokens_details: None | Unset | UsageCompletionTokensDetails = UNSET
    input_tokens: int | Unset = UNSET
    output_tokens: int | Unset = UNSET
    input_tokens_details: None | Unset | UsageInputTokensDetails = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    __repr__ = show_model

    def to_dict(self) -> dict[str, Any]:
        prompt_tokens = self.prompt_tokens

        completion_tokens = self.completion_tokens

        total_tokens = self.total_tokens

        prompt_tokens_details: dict[str, Any] | None | Unset
        if isinstance(self.prompt_tokens_details, Unset):
            prompt_tokens_details = UNSET
        elif self.prompt_tokens_details is None:
            prompt_tokens_details = self.prompt_tokens_details
        else:
            prompt_tokens_details = self.prompt_tokens_details.to_dict()

        completion_tokens_details: dict[str, Any] | None | Unset
        if isinstance(self.completion_tokens_details, Unset):
            completion_tokens_details = UNSET
        elif self.completion_tokens_details is None:
            completion_tokens_details = self.completion_tokens_details
        else:
            completion_tokens_details = self.completion_tokens_details.to_dict()

        input_tokens = self.input_tokens

        output_tokens = self.output_tokens

        input_tokens_details: dict[str, Any] | None | Unset
        if isinstance(self.input_tokens_details, Unset):
            input_tokens_details = UNSET
        elif self.input_tokens_details is None:
            input_tokens_details = self.input_tokens_details
        else:
            input_tokens_details = self.input_tokens_details.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if prompt_tokens is not UNSET:
            field_dict["prompt_tokens"] = prompt_tokens
        if completion_tokens is not UNSET:
            field_dict["completion_tokens"] = completion_tokens
        if total_tokens is not UNSET:
            field_dict["total_tokens"] = total_tokens
        if prompt_tokens_details is not UNSET:
            field_dict["prompt_tokens_details"] = prompt_tokens_details
        if completion_tokens_details is not UNSET:
            field_dict["completion_tokens_details"] = completion_tokens_details
        if input_tokens is not UNSET:
            field_dict["input_tokens"] = input_tokens
        if output_tokens is not UNSET:
            field_dict["output_tokens"] = output_tokens
        if input_tokens_details is not UNSET:
            field_dict["input_tokens_details"] = input_tokens_details

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        prompt_tokens = d.pop("prompt_tokens", UNSET)

        completion_tokens = d.pop("completion_tokens", UNSET)

        total_tokens = d.pop("total_tokens", UNSET)

        _prompt_tokens_details = d.pop("prompt_tokens_details", UNSET)
        prompt_tokens_details: None | Unset | UsagePromptTokensDetails
        if _prompt_tokens_details is None or isinstance(_prompt_tokens_details, Unset):
            prompt_tokens_details = _prompt_tokens_details
        else:
            prompt_tokens_details_type_0 = _models.UsagePromptTokensDetails.from_dict(
                _prompt_tokens_details
            )

            prompt_tokens_details = prompt_tokens_details_type_0

        _completion_tokens_details = d.pop("completion_tokens_details", UNSET)
        completion_tokens_details: None | Unset | UsageCompletionTokensDetails
        if _completion_tokens_details is None or isinstance(
            _completion_tokens_details, Unset
        ):
            completion_tokens_details = _completion_tokens_details
        else:
            completion_tokens_details_type_0 = (
                _models.UsageCompletionTokensDetails.from_dict(
                    _completion_tokens_details
                )
            )

            completion_tokens_details = completion_tokens_details_type_0

        input_tokens = d.pop("input_tokens", UNSET)

        output_tokens = d.pop("output_tokens", UNSET)

        _input_tokens_details = d.pop("input_tokens_details", UNSET)
        input_tokens_details: None | Unset | UsageInputTokensDetails
        if _input_tokens_details is None or isinstance(_input_tokens_details, Unset):
            input_tokens_details = _input_tokens_details
        else:
            input_tokens_details_type_0 = _models.UsageInputTokensDetails.from_dict(
                _input_tokens_details
            )

            input_tokens_details = input_tokens_details_type_0

        usage = cls(
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            total_tokens=total_tokens,
            prompt_tokens_details=prompt_tokens_details,
            completion_tokens_details=completion_tokens_details,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            input_tokens_details=input_tokens_details,
        )

        usage.additional_properties = d
        return usage

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
