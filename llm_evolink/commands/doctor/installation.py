"""Checks without a request: versions, settings, key, certificates, models, generated client."""

import json
import os
import platform
import re
import sys
from collections.abc import Callable
from difflib import get_close_matches
from importlib.metadata import entry_points, version
from importlib.resources import files
from typing import Any

import attrs
import llm

import generated_client
from generated_client.models import ChatCompletionQuickRequest

from ... import ADDED_MODELS_FILE, KEY_ALIAS, KEY_VARIABLE, EvolinkChat, errors
from ...connection import settings, tls
from ...constants import MODEL_ID
from ...llm_folder import user_folder
from ...redaction import SHORTEST
from .finding import Result

_SETTINGS: dict[str, Callable[[], object]] = {
    "EVOLINK_BASE_URL": settings.servers,
    "EVOLINK_TIMEOUT": settings.timeout,
    "EVOLINK_MAX_RETRIES": settings.max_retries,
    "EVOLINK_MAX_WAIT": settings.max_wait,
}
_SWITCHES = ("EVOLINK_ALLOW_HTTP", "EVOLINK_DEBUG")
VARIABLES = (KEY_VARIABLE, *_SETTINGS, *_SWITCHES)
"""The environment variables that the plugin reads."""


def versions() -> Result:
    """Return the versions of llm, the plugin and Python, and the name of the system."""
    ours = ", ".join(f"{name} {version(name)}" for name in ("llm", "llm-evolink"))
    return "ok", f"{ours}, Python {platform.python_version()}, {platform.system()}"


def settings_check() -> Result:
    """Return the EVOLINK_* variables that are set; broken for an unusable value."""
    problems = []
    for read in _SETTINGS.values():
        try:
            read()
        except errors.InvalidRequestError as error:
            problems.append(f"{error}; change it, or unset it")
    unknown = [
        _unknown(name)
        for name in sorted(os.environ)
        if name.startswith("EVOLINK_") and name not in VARIABLES
    ]
    if problems or unknown:
        return "broken" if problems else "note", ". ".join(problems + unknown)
    return "ok", _values(*_SETTINGS, *_SWITCHES) or "the defaults"


def _unknown(name: str) -> str:
    """Return the note about a variable that is not in VARIABLES, without its value."""
    similar = get_close_matches(name, VARIABLES, n=1, cutoff=0.7)
    hint = f" (did you mean {similar[0]}?)" if similar else " and has no effect"
    return f"{name} is not a setting{hint}"


def _values(*names: str) -> str:
    """Return NAME=VALUE for each of these environment variables that is set."""
    return ", ".join(f"{name}={os.environ[name]}" for name in names if os.environ.get(name))


def key() -> Result:
    """Return which key is used; a note if another one is set and not used."""
    used = EvolinkChat(MODEL_ID).get_key()
    stored = llm.get_key(alias=KEY_ALIAS)
    in_environment = os.environ.get(KEY_VARIABLE, "").strip()
    if not stored:
        return "ok", f"that of {KEY_VARIABLE}, {_ending(used)}"
    if in_environment in ("", used):
        return "ok", f"the one stored in llm, {_ending(used)}"
    return "note", (
        f"the one stored in llm, {_ending(used)}, not that of {KEY_VARIABLE}, "
        f"{_ending(in_environment)}; llm uses the stored one: to use the other, store it with: "
        f"llm keys set {KEY_ALIAS}"
    )


def _ending(secret: str) -> str:
    """Return the last characters of a long key, or the length of a short one."""
    return f"ending in {secret[-4:]}" if len(secret) >= SHORTEST else f"of {len(secret)} characters"


def certificates() -> Result:
    """Return where the trusted CA certificates come from."""
    tls.tls_context()  # Raises InvalidRequestError for an unusable SSL_CERT_FILE.
    if named := _values("SSL_CERT_FILE", "SSL_CERT_DIR"):
        return "ok", named
    if sys.platform in ("darwin", "win32"):
        return "ok", "the system's trust store"
    for path in tls.system_ca_certificates().values():
        return "ok", f"the system's trust store, {path}"
    return "ok", "certifi's CA certificates; the system has none"


def documented_model(name: str) -> Result:
    """Return whether llm uses EvoLink's model for this name of the document."""
    claims = [each for each in llm.get_models_with_aliases() if _claims(each, name)]
    *others, last = [each.model for each in claims]  # llm uses the last.
    if not isinstance(last, EvolinkChat):
        return "broken", (
            f"{name} is {last.model_id} of {_plugin(last)}: use -m evolink/{name}, or: "
            f"llm uninstall {_plugin(last)}"
        )
    if not others:
        return "ok", f"{name} is EvoLink's"
    known = [f"{_plugin(other)} has it as well, as {other.model_id}" for other in others]
    return "note", "; ".join([f"{name} is EvoLink's", *known])


def _claims(listed: Any, name: str) -> bool:
    return name in (listed.model.model_id, *listed.aliases)


def _plugin(model: llm.Model) -> str:
    """Return the name of the distribution that the model is from."""
    root = type(model).__module__.partition(".")[0]
    names = [entry.dist.name for entry in entry_points(group="llm", module=root) if entry.dist]
    return names[0] if names else root


def readable_models() -> Result:
    """Return ok if llm can list its models. Raises the exception of llm if not."""
    llm.get_models_with_aliases()
    return "ok", "llm lists its models"


def added_model(model_id: str) -> Result:
    """Return the note about a model that the user added."""
    return "note", f"{model_id} was added by you; EvoLink's document does not describe it"


def added_models_problem() -> str | None:
    """Return what is wrong with the file of added models, None for a usable file or none."""
    from ...chat.added_models import read_added_models

    try:
        read_added_models(user_folder() / ADDED_MODELS_FILE)
    except ValueError as error:
        return str(error)
    except OSError:
        return None  # Of llm's folder, which other checks report.
    return None


def generated_client_check() -> Result:
    """Return whether the generated client matches the document that is installed with it."""
    try:
        path = files(generated_client).joinpath("openapi.json")
        differing = _differences(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, LookupError) as error:
        differing = [f"it cannot be read, {error!r}"]
    if differing:
        return "broken", (
            f"generated_client does not match its openapi.json ({', '.join(differing)}): "
            "install llm-evolink again, or run scripts/regenerate in a clone"
        )
    return "ok", "it matches openapi.json, EvoLink's document"


def _differences(document: Any) -> list[str]:
    """Return the servers and fields that only one of the document and the client has."""
    servers = {server["url"] for server in document["servers"]} ^ {*generated_client.SERVERS}
    schema = document["components"]["schemas"][ChatCompletionQuickRequest.__name__]
    described = {_letters(name): name for name in schema["properties"]}
    generated = {
        _letters(field.name): field.name
        for field in attrs.fields(ChatCompletionQuickRequest)
        if field.init
    }
    names = {**generated, **described}
    return [*sorted(servers), *sorted(names[each] for each in described.keys() ^ generated.keys())]


def _letters(name: str) -> str:
    """Return a field's name without case and marks: topK is the attribute top_k."""
    return re.sub("[^a-z0-9]", "", name.lower())
