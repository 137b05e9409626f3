"""Reads the prompt of a batch from llm's templates, schemas, fragments and model options."""

from collections.abc import Iterable
from contextlib import closing
from typing import Any

import llm
import pydantic
import sqlite_utils
from llm.cli import get_model_options, load_template, resolve_fragments
from llm.migrations import migrate
from llm.templates import Template
from llm.utils import resolve_schema_input

from ..constants import MODEL_ID
from ..llm_folder import log_path
from .errors import BatchError
from .requests import RequestTemplate

_NO_SCHEMA = "not JSON, a file, a schema id or a concise schema, such as 'label, confidence float'"
_REFUSED = ("tools", "functions", "extract", "extract_last")


def apply_template(request: RequestTemplate, name: str) -> None:
    """Merge a template of llm into the request's, as `llm -t` does. Raises BatchError."""
    try:
        template: Template = load_template(name)
    except Exception as error:  # From the network, a file, or another plugin's loader.
        raise _in_one_line("The template cannot be loaded", error) from None
    for field in _REFUSED:
        if getattr(template, field):
            raise BatchError(f"The template {name} has {field!r}, which a batch cannot use")
    if template.prompt:
        if "input" in template.vars():
            request.input, request.prompt = request.prompt, template.prompt
        else:
            request.prompt = "\n".join(filter(None, [template.prompt, request.prompt]))
    request.system = request.system or template.system
    request.schema = request.schema or template.schema_object
    request.options = {**(template.options or {}), **request.options}
    request.defaults = {key: str(value) for key, value in (template.defaults or {}).items()}
    attachments = [(path, None) for path in template.attachments or ()]
    typed = [(each.value, each.type) for each in template.attachment_types or ()]
    request.attachments = [*attachments, *typed, *request.attachments]
    request.fragments = [*(template.fragments or ()), *request.fragments]
    request.system_fragments = [*(template.system_fragments or ())]
    request.model_id = request.model_id or template.model or ""


def read_prompt(
    prompt: str | None,
    *,
    system: str | None,
    template: str | None,
    model_id: str | None,
    attachments: Iterable[str],
    fragments: Iterable[str],
    schema: str | None,
    options: dict[str, Any],
) -> tuple[RequestTemplate, llm.AsyncModel | llm.AsyncKeyModel]:
    """Return the template of each row's request, and the model. Raises BatchError."""
    request = RequestTemplate(
        model_id or "",
        prompt,
        system,
        attachments=[(path, None) for path in attachments],
        fragments=list(fragments),
        schema=read_schema(schema),
        options=options,
    )
    if template:
        apply_template(request, template)
    try:
        model = llm.get_async_model(request.model_id or MODEL_ID)
    except llm.UnknownModelError as error:
        raise BatchError(f"{error.args[0]}; see: llm models list") from None
    if request.schema and not model.supports_schema:
        raise BatchError(f"{model.model_id} does not support schemas")
    request.model_id = model.model_id
    request.options = check_options(model, {**get_model_options(model.model_id), **request.options})
    request.fragments = read_fragments(request.fragments)
    request.system_fragments = read_fragments(request.system_fragments)
    return request, model


def check_options(model: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Return the options as the model's types. Raises BatchError for an invalid one."""
    try:
        values = {name: value for name, value in model.Options(**options) if value is not None}
    except pydantic.ValidationError as error:
        problems = [": ".join([*map(str, each["loc"]), each["msg"]]) for each in error.errors()]
        raise BatchError(f"Invalid option {'; '.join(problems)}") from None
    return values


def read_schema(text: str | None) -> dict[str, Any] | None:
    """Return the schema of llm's concise syntax, JSON, a file or an id. Raises BatchError."""
    if not text:
        return None
    try:
        with closing(_log()) as log:
            schema: dict[str, Any] = resolve_schema_input(  # type: ignore[no-untyped-call]
                log, text, load_template
            )
    except Exception as error:  # From a template, a file or the log.
        shown = repr(text if len(text) < 100 else f"{text[:99]}…")
        if str(error) == "Invalid schema":
            raise BatchError(f"The schema {shown} is {_NO_SCHEMA}") from None
        raise _in_one_line(f"The schema {shown} cannot be used", error) from None
    return schema


def read_fragments(names: list[str]) -> list[str]:
    """Return the texts of llm's fragments: aliases, paths or URLs. Raises BatchError."""
    if not names:
        return []
    try:
        with closing(_log()) as log:
            return [str(fragment) for fragment in resolve_fragments(log, names)]
    except Exception as error:  # From the network, a file, or another plugin's loader.
        raise _in_one_line("The fragment cannot be used", error) from None


def _in_one_line(what: str, error: Exception) -> BatchError:
    """Return the error for the user: the message of another library can have several lines."""
    return BatchError(f"{what}: {' '.join(str(error).split()) or type(error).__name__}")


def _log() -> Any:
    """Return llm's log, or an empty one in memory if there is none."""
    path = log_path()
    if path.exists():
        return sqlite_utils.Database(path)
    empty = sqlite_utils.Database(memory=True)
    migrate(empty)  # type: ignore[no-untyped-call]
    return empty
