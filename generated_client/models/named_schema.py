from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from .. import models as _models
from ..types import UNSET, Unset, show_model

if TYPE_CHECKING:
    from ..models.named_schema_schema import NamedSchemaSchema


T = TypeVar("T", bound="NamedSchema")


@_attrs_define
class NamedSchema:
    """A JSON Schema and a name for it.

    Attributes:
        name (str): Name of the schema.
        schema (NamedSchemaSchema): The JSON Schema.
        strict (bool | Unset): Whether the answer must fit exactly.
    """

    name: str
    schema: NamedSchemaSchema
    strict: bool | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    __repr__ = show_model

    def to_dict(self) -> dict[str, Any]:
        name = self.name

        schema = self.schema.to_dict()

        strict = self.strict

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "name": name,
                "schema": schema,
            }
        )
        if strict is not UNSET:
            field_dict["strict"] = strict

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        name = d.pop("name")

        schema = _models.NamedSchemaSchema.from_dict(d.pop("schema"))

        strict = d.pop("strict", UNSET)

        named_schema = cls(
            name=name,
            schema=schema,
            strict=strict,
        )

        named_schema.additional_properties = d
        return named_schema

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
