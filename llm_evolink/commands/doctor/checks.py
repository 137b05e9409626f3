"""Runs all checks of the installation, in their order.

A check returns ok, note or broken, with a message that says what to do.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

import llm

from ... import KEY_ALIAS, KEY_VARIABLE, EvolinkChat, errors, text
from ...connection import settings
from ...constants import MODEL_ID
from ...llm_folder import folder_problem
from ...redaction import Redactor
from ..registered import registered_models
from . import database, installation, servers
from .finding import Check, Finding, Result
from .probe import Probe


def examine() -> Iterator[Finding]:
    """Yield the result of each check, in the order of Finding.check, within about 20 seconds.

    Each server is sent a request that the document makes invalid: nothing is generated or billed.
    """
    redactors = _redactors()
    for name, check in _checks():
        status, message = _run(check)
        for redactor in redactors:
            message = redactor.text(message)
        yield Finding(name, status, text.clean(message) or "")


def _checks() -> Iterator[tuple[str, Check]]:
    """Yield the name of each check and the check; requests to servers run in the background."""
    key = _usable_key()
    probes = [Probe(server, key) for server in _usable_servers()]
    yield "versions", installation.versions
    yield "settings", installation.settings_check
    yield "key", installation.key
    yield "certificates", installation.certificates
    if not probes:
        yield "server", servers.no_server
    for probe in probes:
        yield "server", partial(servers.server, probe, probes)
    yield "authentication", partial(servers.authentication, key, probes)
    yield "proxy", partial(servers.proxy, [probe.server for probe in probes])
    yield from _model_checks()
    yield "logging", database.logging
    yield "database", database.database
    yield "generated client", installation.generated_client_check


def _model_checks() -> Iterator[tuple[str, Check]]:
    """Yield a check for each model that is registered and not removed."""
    added = []
    try:
        for model, _ in registered_models():
            if model.removed:
                continue
            if model.added:
                added.append(model.model_id)
            else:
                yield "model", partial(installation.documented_model, model.model_id)
    except (OSError, ValueError, TypeError, AttributeError):
        # llm cannot read its folder or aliases.json.
        yield "model", installation.readable_models
    for model_id in added:
        yield "model", partial(installation.added_model, model_id)
    if problem := installation.added_models_problem():
        yield "model", lambda: ("broken", problem)


def _run(check: Check) -> Result:
    """Return the result of the check, broken for an exception."""
    try:
        return check()
    except errors.EvolinkError as error:
        return "broken", servers.with_advice(error)
    except Exception as error:  # The other checks still run.
        failed = f"the check failed: {type(error).__name__}: {error}"
        return "broken", folder_problem() or failed


def _usable_key() -> str | None:
    with suppress(errors.EvolinkError):  # The check `key` reports it.
        return EvolinkChat(MODEL_ID).get_key()
    return None


def _usable_servers() -> tuple[str, ...]:
    with suppress(errors.InvalidRequestError):  # The check `settings` reports it.
        return settings.servers()
    return ()


def _redactors() -> list[Redactor]:
    """Return a redactor for each key that is set, the longest key first."""
    keys = [os.environ.get(KEY_VARIABLE, "").strip()]
    with suppress(OSError, ValueError, TypeError):
        keys.append(str(llm.get_key(alias=KEY_ALIAS)).strip())
    return [Redactor(key) for key in sorted(keys, key=len, reverse=True)]
