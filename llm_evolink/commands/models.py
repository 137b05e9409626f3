"""`llm evolink models`: list the registered models, add others, remove and forget them."""

import json
from pathlib import Path
from typing import Any

import click

from .. import ADDED_MODELS_FILE
from ..llm_folder import user_folder
from .cells import cells, padded
from .registered import registered_models


@click.group(invoke_without_command=True)
@click.option("--server", is_flag=True, help="List the models that the server serves instead.")
@click.option("--json", "json_", is_flag=True, help="Output as JSON.")
@click.pass_context
def models(context: click.Context, server: bool, json_: bool) -> None:
    """List EvoLink's models in llm, and add others that EvoLink serves.

    EvoLink's document describes some models; the same key and URL serve more. An added
    model is registered as evolink/NAME. Its options are those of the document's models,
    without their bounds: the server checks them.

    --server asks the server, with your key, for the models it serves (GET /v1/models).
    EvoLink's document does not mention that request: a server without it is an error.
    """
    if context.invoked_subcommand:
        if server or json_:
            raise click.UsageError("--server and --json list models: give them without a command")
        return
    listed = _on_server() if server else _registered()
    if json_:
        click.echo(json.dumps(listed, indent=2))
        return
    width = max((cells(model["name"]) for model in listed), default=0)
    for model in listed:
        click.echo(f"{padded(model['name'], width)}  {_describe(model)}")


def _describe(model: dict[str, Any]) -> str:
    if "model_id" in model:
        if model["model_id"]:
            return f"registered as {model['model_id']}"
        return f"add it with: llm evolink models add {model['name']}"
    abilities = [name for name in ("images", "tools", "schemas") if model[name]]
    return f"{model['source']}; {', '.join(abilities) or 'text only'}"


def _registered() -> list[dict[str, Any]]:
    """Return the models that llm has registered, without removed ones."""
    return [
        {
            "name": model.model_id,
            "aliases": aliases,
            "source": "added by you" if model.added else "described by EvoLink's document",
            "images": bool(model.attachment_types),
            "tools": model.supports_tools,
            "schemas": model.supports_schema,
        }
        for model, aliases in registered_models()
        if not model.removed
    ]


def _on_server() -> list[dict[str, Any]]:
    """Return the models that the server lists. Raises EvolinkError."""
    from .server_models import server_models

    registered = {
        model.api_name: model.model_id for model, _ in registered_models() if not model.removed
    }
    return [{"name": name, "model_id": registered.get(name)} for name in server_models()]


@models.command()
@click.argument("name")
@click.option("--no-images", is_flag=True, help="The model does not support images.")
@click.option("--no-tools", is_flag=True, help="The model does not support tools.")
@click.option("--no-schema", is_flag=True, help="The model does not support schemas.")
def add(name: str, no_images: bool, no_tools: bool, no_schema: bool) -> None:
    """Register the model that EvoLink serves as NAME, as evolink/NAME.

    To change its options, add it again.
    """
    from ..chat.added_models import AddedModel

    path, added = _read()
    _check_name(name)
    model = AddedModel(name, not no_images, not no_tools, not no_schema)
    for other in added.values():
        if other.model_id == model.model_id and name != other.name and not other.forgotten:
            raise click.ClickException(
                f"{other.model_id} is already the name of your model {other.name}; to use it for "
                f"{name}, first run: llm evolink models forget {other.name}"
            )
    added[name] = model
    _write(path, added)
    click.echo(f"Added: llm -m {model.model_id}")


def _check_name(name: str) -> None:
    if not name.isprintable() or not name.removeprefix("evolink/") or " " in name:
        raise click.ClickException(
            f"{name!r} is not the name of a model: it is empty or has a space or control character"
        )
    for model, aliases in registered_models():
        if not (model.added or model.removed) and name in (model.model_id, *aliases):
            raise click.ClickException(
                f"{model.model_id} is described by EvoLink's document and needs no adding"
            )


@models.command()
@click.argument("name")
def remove(name: str) -> None:
    """Stop listing the added model NAME; a prompt to it then fails.

    It stays registered, so that `llm -c` in its conversations does not go to a model of
    the same name from another plugin. `forget` removes it for good.
    """
    from dataclasses import replace

    path, added = _read()
    found = _find(name, added)
    added[found] = replace(added[found], removed=True)
    _write(path, added)
    click.echo(f"Removed: {added[found].model_id}")


@models.command()
@click.argument("name")
def forget(name: str) -> None:
    """Delete the model NAME for good: llm no longer knows it.

    NAME is a model that you added, or one that left EvoLink's document.
    """
    from generated_client import FORMER_MODELS

    from ..chat.added_models import AddedModel

    path, added = _read()
    former = next((each for each in FORMER_MODELS if name in (each, f"evolink/{each}")), None)
    if former and not (former in added and added[former].forgotten):
        added[former] = AddedModel(former, forgotten=True)
        forgotten = former
    else:
        forgotten = added.pop(_find(name, added)).model_id
    _write(path, added)
    click.echo(f"Forgotten: {forgotten}")


def _read() -> tuple[Path, dict[str, Any]]:
    """Return the path of the file and the models in it. Raises ClickException."""
    from ..chat.added_models import read_added_models

    path = user_folder() / ADDED_MODELS_FILE
    try:
        return path, read_added_models(path)
    except ValueError as error:
        raise click.ClickException(str(error)) from None


def _write(path: Path, added: dict[str, Any]) -> None:
    from ..chat.added_models import write_added_models

    try:
        write_added_models(path, added)
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror}") from None


def _find(name: str, added: dict[str, Any]) -> str:
    """Return the model's name in the file, for that name or else its name in llm."""
    known = [model for model in added.values() if not model.forgotten]
    for attribute in ("name", "model_id"):
        for model in known:
            if name == getattr(model, attribute):
                return str(model.name)
    raise click.ClickException(f"{name!r} is not an added model; see: llm evolink models")
