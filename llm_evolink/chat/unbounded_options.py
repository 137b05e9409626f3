"""Options of an added model: those of the document without their bounds."""

from functools import reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import llm
from pydantic import Field, create_model

from .options import Options


def without_bounds(options: type[llm.Options]) -> type[llm.Options]:
    """Return a class with the same options, without their bounds and lists of values."""
    fields: Any = {
        name: (_unbounded(field.annotation), Field(None, description=field.description))
        for name, field in options.model_fields.items()
    }
    return create_model("UnboundedOptions", __base__=options, **fields)


def _unbounded(annotation: Any) -> Any:
    """Return the type without the metadata of Annotated; a Literal becomes its values' type."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _unbounded(get_args(annotation)[0])
    if origin is Literal:
        return reduce(or_, {type(value) for value in get_args(annotation)})
    if origin in (Union, UnionType):
        return reduce(or_, map(_unbounded, get_args(annotation)))
    return annotation


UnboundedOptions = without_bounds(Options)
"""Options without bounds: the document's are for its own models, the server checks others."""
