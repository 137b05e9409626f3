from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from .. import models as _models
from ..types import UNSET, Unset, show_model

if TYPE_CHECKING:
    from ..models.chunk_choice import ChunkChoice
    from ..models.usage import Usage


T = TypeVar("T", bound="ChatCompletionChunk")


@_attrs_define
class ChatCompletionChunk:
    """A piece of a reply in a stream.

    Attributes:
        id (None | str | Unset): Id of the completion, the same in every chunk.
        object_ (None | str | Unset): Kind of response: chat.completion.chunk.
        created (int | None | Unset): When it was made; Unix time in seconds.
        model (None | str | Unset): Name of the model that replies.
        choices (list[ChunkChoice] | None | Unset): New pieces of the replies; empty in the chunk that holds the usage.
        usage (None | Unset | Usage): Tokens used; in the last chunk, when asked for with stream_options.
        error (Any | Unset): What went wrong after the stream began, in the shape of ErrorResponse's error or as text.
    """

    id: None | str | Unset = UNSET
    object_: None | str | Unset = UNSET
    created: int | None | Unset = UNSET
    model: None | str | Unset = UNSET
    choices: list[ChunkChoice] | None | Unset = UNSET
    usage: None | Unset | Usage = UNSET
    error: Any | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    __repr__ = show_model

    def to_dict(self) -> dict[str, Any]:
        id: None | str | Unset
        if isinstance(self.id, Unset):
            id = UNSET
        else:
            id = self.id

        object_: None | str | Unset
        if isinstance(self.object_, Unset):
            object_ = UNSET
        else:
            object_ = self.object_

        created: int | None | Unset
        if isinstance(self.created, Unset):
            created = UNSET
        else:
            created = self.created

        model: None | str | Unset
        if isinstance(self.model, Unset):
            model = UNSET
        else:
            model = self.model

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

        error = self.error

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if id is not UNSET:
            field_dict["id"] = id
        if object_ is not UNSET:
            field_dict["object"] = object_
        if created is not UNSET:
            field_dict["created"] = created
        if model is not UNSET:
            field_dict["model"] = model
        if choices is not UNSET:
            field_dict["choices"] = choices
        if usage is not UNSET:
            field_dict["usage"] = usage
        if error is not UNSET:
            field_dict["error"] = error

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id: None | str | Unset = d.pop("id", UNSET)

        object_: None | str | Unset = d.pop("object", UNSET)

        created: int | None | Unset = d.pop("created", UNSET)

        model: None | str | Unset = d.pop("model", UNSET)

        _choices = d.pop("choices", UNSET)
        choices: list[ChunkChoice] | None | Unset
        if _choices is None or isinstance(_choices, Unset):
            choices = _choices
        else:
            choices_type_0 = []
            _choices_type_0 = _choices
            for choices_type_0_item_data in _choices_type_0:
                choices_type_0_item = _models.ChunkChoice.from_dict(
                    choices_type_0_item_data
                )

                choices_type_0.append(choices_type_0_item)

            choices = choices_type_0

        _usage = d.pop("usage", UNSET)
        usage: None | Unset | Usage
        if _usage is None or isinstance(_usage, Unset):
            usage = _usage
        else:
            usage_type_0 = _models.Usage.from_dict(_usage)

            usage = usage_type_0

        error = d.pop("error", UNSET)

        chat_completion_chunk = cls(
            id=id,
            object_=object_,
            created=created,
            model=model,
            choices=choices,
            usage=usage,
            error=error,
        )

        chat_completion_chunk.additional_properties = d
        return chat_completion_chunk

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
