from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from .. import models as _models
from ..types import UNSET, Unset, show_model

if TYPE_CHECKING:
    from ..models.choice import Choice
    from ..models.usage import Usage


T = TypeVar("T", bound="ChatCompletionResponse")


@_attrs_define
class ChatCompletionResponse:
    """The replies, and the tokens they took.

    Attributes:
        id (str | Unset): Unique id of the completion. Example: chatcmpl-20251010015944503180122WJNB8Eid.
        model (str | Unset): Name of the model that replied. Example: gemini-3.5-flash.
        object_ (str | Unset): Kind of response: chat.completion. Example: chat.completion.
        created (int | Unset): When it was made; Unix time in seconds. Example: 1760032810.
        choices (list[Choice] | None | Unset): The replies.
        usage (None | Unset | Usage): Tokens used; null where the server does not count.
    """

    id: str | Unset = UNSET
    model: str | Unset = UNSET
    object_: str | Unset = UNSET
    created: int | Unset = UNSET
    choices: list[Choice] | None | Unset = UNSET
    usage: None | Unset | Usage = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    __repr__ = show_model

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        model = self.model

        object_ = self.object_

        created = self.created

        choices: list[dict[str, Any]] | None | Unset
        if isinstance(self.choices, Unset):
            choices = UNSET
        elif isinstance(self.choices, list):
            choices = []
            for choices_type_0_item_data in self.choices:
                choices_type_0_item = choices_type_0_item_data.to_dict()
                choices.append(choices_type_0_item)

        else:
            choices = self.choices

        usage: dict[str, Any] | None | Unset
        if isinstance(self.usage, Unset):
            usage = UNSET
        elif self.usage is None:
            usage = self.usage
        else:
            usage = self.usage.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if id is not UNSET:
            field_dict["id"] = id
        if model is not UNSET:
            field_dict["model"] = model
        if object_ is not UNSET:
            field_dict["object"] = object_
        if created is not UNSET:
            field_dict["created"] = created
        if choices is not UNSET:
            field_dict["choices"] = choices
        if usage is not UNSET:
            field_dict["usage"] = usage

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = d.pop("id", UNSET)

        model = d.pop("model", UNSET)

        object_ = d.pop("object", UNSET)

        created = d.pop("created", UNSET)

        _choices = d.pop("choices", UNSET)
        choices: list[Choice] | None | Unset
        if _choices is None or isinstance(_choices, Unset):
            choices = _choices
        else:
            choices_type_0 = []
            _choices_type_0 = _choices
            for choices_type_0_item_data in _choices_type_0:
                choices_type_0_item = _models.Choice.from_dict(choices_type_0_item_data)

                choices_type_0.append(choices_type_0_item)

            choices = choices_type_0

        _usage = d.pop("usage", UNSET)
        usage: None | Unset | Usage
        if _usage is None or isinstance(_usage, Unset):
            usage = _usage
        else:
            usage_type_0 = _models.Usage.from_dict(_usage)

            usage = usage_type_0

        chat_completion_response = cls(
            id=id,
            model=model,
            object_=object_,
            created=created,
            choices=choices,
            usage=usage,
        )

        chat_completion_response.additional_properties = d
        return chat_completion_response

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
