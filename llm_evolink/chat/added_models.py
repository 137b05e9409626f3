"""Models that the user added or forgot: evolink-models.json in llm's folder.

The file holds an object with a member for each model, by its name in requests. Images, tools and
schema are true by default, removed and forgotten are false:

    {"NAME": {"images": false, "tools": false, "schema": false, "removed": true}}
    {"NAME": {"forgotten": true}}
"""

import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import click

_ABILITIES = ("images", "tools", "schema")
_MARKS = ("removed", "forgotten")
_EXAMPLE = '{"NAME": {"images": false}}'


@dataclass(frozen=True)
class AddedModel:
    """A model that the document does not describe.

    Attributes:
        name: Name of the model in requests.
        images: Whether it supports images.
        tools: Whether it supports tools.
        schema: Whether it supports schemas.
        removed: Whether it was removed: it stays registered, and a prompt to it is an error.
        forgotten: Whether it is not registered, though the document described it once.
    """

    name: str
    images: bool = True
    tools: bool = True
    schema: bool = True
    removed: bool = False
    forgotten: bool = False

    @property
    def model_id(self) -> str:
        """The model's name in llm."""
        return self.name if self.name.startswith("evolink/") else f"evolink/{self.name}"

    @property
    def settings(self) -> dict[str, bool]:
        """Keyword arguments of the EvolinkChat for it, besides the names."""
        abilities = {name: getattr(self, name) for name in _ABILITIES}
        return {**abilities, "added": True, "removed": self.removed}


def read_added_models(path: Path) -> dict[str, AddedModel]:
    """Return the models of the file by name; none without a file.

    Raises ValueError, naming the file and what to do, for one that cannot be used.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        from ..llm_folder import unusable

        raise ValueError(unusable(error)) from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON ({error}): correct it or remove it") from None
    try:
        return {name: _added_model(name, values) for name, values in data.items()}
    except (TypeError, AttributeError, ValueError):
        raise ValueError(f"{path} is not like {_EXAMPLE}: correct it or remove it") from None


def _added_model(name: str, values: dict[str, bool]) -> AddedModel:
    if not name or not all(isinstance(value, bool) for value in values.values()):
        raise ValueError(name)
    return AddedModel(name, **values)


def write_added_models(path: Path, models: dict[str, AddedModel]) -> None:
    """Replace the file. Raises OSError; the file is then unchanged."""
    data: dict[str, dict[str, bool]] = {}
    for model in models.values():
        data[model.name] = {name: False for name in _ABILITIES if not getattr(model, name)}
        data[model.name] |= {name: True for name in _MARKS if getattr(model, name)}
    scratch = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        scratch.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def models_of_user(path: str) -> tuple[list[AddedModel], set[str]]:
    """Return the added models of the file, and the names of the forgotten ones.

    For an invalid file both are empty, and a warning is printed once on stderr.
    """
    try:
        models = read_added_models(Path(path)).values()
    except ValueError as error:
        _warn(f"Warning: no added model of EvoLink is registered: {error}")
        return [], set()
    added = [model for model in models if not model.forgotten]
    return added, {model.name for model in models if model.forgotten}


@cache
def _warn(message: str) -> None:
    # A command of llm lists the models several times.
    click.echo(message, err=True)
