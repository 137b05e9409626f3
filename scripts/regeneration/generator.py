"""openapi-python-client, run as a library with our templates beside its own."""

import contextlib
import io
import json
import subprocess
from pathlib import Path
from typing import Any

from jinja2 import (
    ChoiceLoader,
    FileSystemLoader,
    PackageLoader,
    PrefixLoader,
    TemplateSyntaxError,
)
from openapi_python_client import Project
from openapi_python_client.config import Config, ConfigFile, MetaType
from openapi_python_client.parser import GeneratorData
from openapi_python_client.parser.errors import GeneratorError, ParseError
from openapi_python_client.parser.openapi import Endpoint
from openapi_python_client.parser.properties import ModelProperty
from openapi_python_client.parser.properties.schemas import Class
from openapi_python_client.parser.responses import Response
from openapi_python_client.schema import Reference
from ruff import find_ruff_bin  # type: ignore[import-untyped]

from .errors import RegenerationError, one_line
from .validation import load_yaml

# The stock hooks take ruff's default rules, which rewrite annotations; these sort and drop imports,
# and refuse a name that is not defined when the code runs.
FORMATTERS = (
    ["check", "--fix", "--select=I,F401,F821,TC004", "--output-format=concise", "--quiet"],
    ["format"],
)
# What a generated class calls its own parts, and its variables where they would be hidden.
TAKEN = {"additional_keys", "additional_properties", "cls", "d", "from_dict", "to_dict"}
# The same result wherever it runs, and no cache left in the current folder.
RUFF = ["--isolated", "--no-cache", "--no-respect-gitignore", "--target-version=py311"]


class StreamingProject(Project):
    """A project whose templates can include the stock ones as "stock/NAME", and that streams.

    Its templates find the model of an endpoint's events with `event_model(endpoint)`, that of
    errors with `error_model()`, others with `models_named(…)`, the document's servers in
    `servers`, and change stock text with the filter `swap`.
    """

    def __init__(self, *, servers: list[str], templates: Path, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        stock = PackageLoader("openapi_python_client")
        loaders = [FileSystemLoader(templates), stock, PrefixLoader({"stock": stock})]
        self.env.loader = ChoiceLoader(loaders)
        self.env.globals.update(
            servers=servers,
            event_model=self.event_model,
            error_model=self.error_model,
            models_named=self.models_named,
        )
        self.env.filters["swap"] = swap

    def event_model(self, endpoint: Endpoint) -> ModelProperty | None:
        """Return the model of the events the endpoint can answer with, None when it cannot."""
        for response in endpoint.responses:
            name = _event_schema(response)
            for model in self.openapi.models:
                if model.class_info.name == name:
                    return model
        return None

    def error_model(self) -> Class | None:
        """Return the class of the first model that describes an error status, None for none."""
        for collection in self.openapi.endpoint_collections_by_tag.values():
            for endpoint in collection.endpoints:
                for response in endpoint.responses.patterns:
                    first, _ = response.status_code.range or (0, 0)
                    if first >= 400 and isinstance(response.prop, ModelProperty):
                        return response.prop.class_info
        return None

    def models_named(self, *names: str) -> list[Class]:
        """Return the classes of these models; none if one of them is missing."""
        models = {str(model.class_info.name): model.class_info for model in self.openapi.models}
        return [models[name] for name in names] if models.keys() >= set(names) else []

    def _create_package(self) -> None:
        super()._create_package()
        for name in ("responses.py", "py.typed"):
            text = self.env.get_template(f"{name}.jinja").render()
            (self.package_dir / name).write_text(text, encoding="utf-8")


def swap(text: str, old: str, new: str) -> str:
    """Return the stock text with old replaced. Raises RegenerationError when old is not in it."""
    if old not in text:
        raise RegenerationError(f"openapi-python-client's template no longer holds {old.strip()!r}")
    return text.replace(old, new)


def generate_client(document: dict[str, Any], openapi: Path, target: Path) -> None:
    """Write the client of the document, and the document itself, into the new folder target.

    Raises RegenerationError for any error or warning of the generator or the formatter.
    """
    try:
        _build(document, openapi, target)
    except (RegenerationError, OSError):
        raise
    except TemplateSyntaxError as error:
        problem = f"template {error.name}, line {error.lineno}: {error.message}"
        raise RegenerationError(problem) from error
    except Exception as error:  # A template, or the generator on a document it did not foresee.
        problem = f"the generator failed: {type(error).__name__}: {one_line(error)}"
        raise RegenerationError(problem) from error
    data = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    (target / "openapi.json").write_text(data, encoding="utf-8")
    for arguments in FORMATTERS:
        command = [find_ruff_bin(), *arguments, *RUFF, target.name]
        # There, since modules beside the current folder would count as ours when sorting imports.
        done = subprocess.run(
            command, cwd=target.parent, capture_output=True, encoding="utf-8", check=False
        )
        if done.returncode:
            raise RegenerationError(
                f"ruff {arguments[0]} failed: {one_line(done.stderr or done.stdout)}"
            )


def _build(document: dict[str, Any], openapi: Path, target: Path) -> None:
    settings = openapi / "generator.yaml"
    config = Config.from_sources(
        ConfigFile.model_validate(load_yaml(settings.read_bytes(), settings.name)),
        meta_type=MetaType.NONE,
        document_source=target / "openapi.json",
        file_encoding="utf-8",
        overwrite=False,
        output_path=target,
    )
    parsed = GeneratorData.from_dict(document, config=config)
    if isinstance(parsed, GeneratorError):
        raise RegenerationError(_tell(parsed))
    _require_usable_fields(parsed)
    project = StreamingProject(
        openapi=parsed,
        config=config,
        servers=[server["url"] for server in document.get("servers", [])],
        templates=openapi / "templates",
    )
    with contextlib.redirect_stdout(io.StringIO()):
        problems = project.build()
    if problems:
        raise RegenerationError("; ".join(_tell(problem) for problem in problems))


def _require_usable_fields(parsed: GeneratorData) -> None:
    """Raise RegenerationError for a field that would take the place of what each model needs."""
    for model in parsed.models:
        if not isinstance(model, ModelProperty):
            continue
        for field in (model.required_properties or []) + (model.optional_properties or []):
            if field.python_name in TAKEN:
                raise RegenerationError(
                    f"{model.class_info.name}.{field.python_name}: the generated class has "
                    "that name for its own use; rename the field in an overlay"
                )


def _event_schema(response: Response) -> str | None:
    content = getattr(response.data, "content", None) or {}
    for content_type, media_type in content.items():
        schema = media_type.media_type_schema
        if content_type == "text/event-stream" and isinstance(schema, Reference):
            return schema.ref.get_untrusted_value().rpartition("/")[2]
    return None


def _tell(problem: GeneratorError) -> str:
    header = one_line(problem.header).strip(": ")
    data = ""
    if isinstance(problem, ParseError) and problem.data is not None:
        data = " in " + problem.data.model_dump_json(exclude_unset=True, by_alias=True)[:200]
    return f"openapi-python-client: {header}: {one_line(problem.detail or 'no detail')}{data}"
