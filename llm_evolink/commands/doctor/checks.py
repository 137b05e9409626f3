"""What a set-up is made of, looked at part by part: each is in order, or what to do is said."""

import json
import os
import platform
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from importlib.metadata import entry_points, version
from importlib.resources import files
from pathlib import Path
from typing import Any

import attrs
import httpx
import llm

import generated_client
from generated_client.models import ChatCompletionQuickRequest

from ... import errors, text
from ...chat.model import EvolinkChat
from ...connection import proxies, settings, tls
from ...redaction import SHORTEST, Redactor
from .finding import Check, Finding, Result
from .probe import Probe

LOCK_TIMEOUT = 5.0
"""Seconds that llm, too, waits for a locked database."""

_SETTINGS: dict[str, Callable[[], object]] = {
    "EVOLINK_BASE_URL": settings.servers,
    "EVOLINK_TIMEOUT": settings.timeout,
    "EVOLINK_MAX_RETRIES": settings.max_retries,
    "EVOLINK_MAX_WAIT": settings.max_wait,
}

# For the errors that do not say themselves what to do.
_ADVICE = {
    errors.AccessError: "see what the key may do at https://evolink.ai/dashboard/keys",
    errors.BadReplyError: "check EVOLINK_BASE_URL",
    errors.UnreachableError: "check the network, the proxy and EVOLINK_BASE_URL",
}


def examine() -> Iterator[Finding]:
    """Yield what each check finds, in the order of Finding.check, within some 20 seconds.

    Each server gets a request that the document makes invalid: nothing is generated, or billed.
    """
    redactors = _redactors()
    for name, check in _checks():
        status, message = _attempt(check)
        for redactor in redactors:
            message = redactor.text(message)
        yield Finding(name, status, text.clean(message) or "")


def _checks() -> Iterator[tuple[str, Check]]:
    """Yield the name of each check and the check; the servers are asked meanwhile."""
    key = _usable_key()
    probes = [Probe(server, key) for server in _usable_servers()]
    yield "versions", _versions
    yield "settings", _settings
    yield "key", _key
    yield "trust", _trust
    if not probes:
        yield "server", _no_server
    for probe in probes:
        yield "server", partial(_server, probe, probes)
    yield "access", partial(_access, key, probes)
    yield "proxy", partial(_proxy, [probe.server for probe in probes])
    yield "model", _model
    yield "logging", _logging
    yield "database", _database
    yield "client", _client


def _attempt(check: Check) -> Result:
    """Return what the check finds, or what kept it from it."""
    try:
        return check()
    except errors.EvolinkError as error:
        return "broken", _told(error)
    except OSError as error:
        return "broken", (
            f"{error.filename}: {error.strerror}; give yourself the right to it, or name another "
            "folder in LLM_USER_PATH"
        )


def _told(error: errors.EvolinkError) -> str:
    return "; ".join(filter(None, (str(error), _ADVICE.get(type(error)))))


def _folder() -> Path:
    """Return llm's user folder, made if it is not there. Raises OSError."""
    return Path(llm.user_dir())  # type: ignore[no-untyped-call]


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """Let llm read the file of this name in its folder. Raises EvolinkError if it is not JSON."""
    try:
        yield
    except ValueError as error:
        path = _folder() / name
        raise errors.InvalidRequestError(
            f"{path} is not JSON ({error}): correct it or remove it"
        ) from None


def _usable_key() -> str | None:
    with suppress(errors.EvolinkError, OSError, ValueError):  # _key tells which.
        return EvolinkChat().get_key()
    return None


def _usable_servers() -> tuple[str, ...]:
    with suppress(errors.InvalidRequestError):  # _settings tells it.
        return settings.servers()
    return ()


def _redactors() -> list[Redactor]:
    """Return what keeps the keys there are out of a message, the longest first."""
    keys = [os.environ.get("EVOLINK_API_KEY", "").strip()]
    with suppress(OSError, ValueError):
        keys.append(str(llm.get_key(alias="evolink")).strip())
    return [Redactor(key) for key in sorted(keys, key=len, reverse=True)]


# The checks: each returns what it finds, or raises what is broken.


def _versions() -> Result:
    ours = ", ".join(f"{name} {version(name)}" for name in ("llm", "llm-evolink"))
    return "ok", f"{ours}, Python {platform.python_version()}, {platform.system()}"


def _settings() -> Result:
    problems = []
    for read in _SETTINGS.values():
        try:
            read()
        except errors.InvalidRequestError as error:
            problems.append(f"{error}; change it, or unset it")
    if problems:
        return "broken", ". ".join(problems)
    return "ok", _given(*_SETTINGS, "EVOLINK_ALLOW_HTTP") or "the defaults"


def _given(*names: str) -> str:
    """Return the environment variables of these names that are set, with their values."""
    return ", ".join(f"{name}={os.environ[name]}" for name in names if os.environ.get(name))


def _key() -> Result:
    with _reading("keys.json"):
        key = EvolinkChat().get_key()
        stored = llm.get_key(alias="evolink")
    named = os.environ.get("EVOLINK_API_KEY", "").strip()
    if not stored:
        return "ok", f"that of EVOLINK_API_KEY, {_ending(key)}"
    if named in ("", key):
        return "ok", f"the one stored in llm, {_ending(key)}"
    return "note", (
        f"the one stored in llm, {_ending(key)}, not that of EVOLINK_API_KEY, {_ending(named)}; "
        "llm takes the stored one: to use the other, store it with: llm keys set evolink"
    )


def _ending(key: str) -> str:
    """Return what can be shown of the key: little of a long one, nothing of a short one."""
    return f"ending in {key[-4:]}" if len(key) >= SHORTEST else f"of {len(key)} characters"


def _trust() -> Result:
    tls.tls_context()  # Raises InvalidRequestError for an SSL_CERT_FILE of no use.
    if given := _given("SSL_CERT_FILE", "SSL_CERT_DIR"):
        return "ok", given
    if sys.platform in ("darwin", "win32"):
        return "ok", "the system's certificate authorities"
    for place in tls.system_authorities().values():
        return "ok", f"the system's certificate authorities, {place}"
    return "ok", "certifi's certificate authorities; the system has none"


def _no_server() -> Result:
    return "note", "not checked: EVOLINK_BASE_URL names none that can be used"


def _server(probe: "Probe", probes: "list[Probe]") -> Result:
    reached = [other.server for other in probes if other.is_reached()]
    if probe.seconds is None and probe.error:
        if reached:
            return "note", f"{_told(probe.error)}; meanwhile prompts go to {reached[0]}"
        raise probe.error
    url = httpx.URL(probe.server)
    found = f"{probe.server} connected in {1000 * (probe.seconds or 0):.0f} ms"
    if url.scheme == "http" and not settings.is_loopback(url.host):
        return "note", f"{found}, unencrypted: who sees the traffic can read the key; use https://"
    return "ok", found


def _access(key: str | None, probes: "list[Probe]") -> Result:
    if not key:
        return "note", "not checked: there is no key to send"
    reached = [probe for probe in probes if probe.is_reached()]
    if not reached:
        return "note", "not checked: no server was reached"
    # A prompt goes on to the next server when one is out of order.
    probe = next((probe for probe in reached if probe.decides()), reached[0])
    if probe.error:
        raise probe.error
    return "ok", f"{probe.server} accepts the key"


def _proxy(servers: list[str]) -> Result:
    names = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    variables = sorted(name for name in os.environ if name.lower() in names and os.environ[name])
    found = {server: proxies.proxy_for(httpx.URL(server)) for server in servers}
    ways = [f"to {server} {_way(proxy)}" for server, proxy in found.items()]
    if variables or any(found.values()):
        source = ", ".join(variables) or "the system's settings"
        return "ok", f"{source}: {', '.join(ways) or 'there is no server to reach'}"
    return "ok", "none"


def _way(proxy: httpx.Proxy | None) -> str:
    """Return the address of the proxy, without the user's name and password."""
    return f"through {proxy.url.scheme}://{proxy.url.netloc.decode()}" if proxy else "directly"


def _model() -> Result:
    name = EvolinkChat.model_id
    with _reading("aliases.json"):
        claims = [each for each in llm.get_models_with_aliases() if _claims(each, name)]
    *others, last = [each.model for each in claims]  # llm takes the last.
    if not isinstance(last, EvolinkChat):
        return "broken", (
            f"{name} is {last.model_id} of {_plugin(last)}: use -m evolink/{name}, or: "
            f"llm uninstall {_plugin(last)}"
        )
    known = [f"{_plugin(other)} has it as well, as {other.model_id}" for other in others]
    return "ok", "; ".join([f"{name} is EvoLink's", *known])


def _claims(listed: Any, name: str) -> bool:
    return name in (listed.model.model_id, *listed.aliases)


def _plugin(model: llm.Model) -> str:
    """Return the name of the distribution that the model is from."""
    root = type(model).__module__.partition(".")[0]
    names = [entry.dist.name for entry in entry_points(group="llm", module=root) if entry.dist]
    return names[0] if names else root


def _logging() -> Result:
    if (_folder() / "logs-off").exists():
        return "note", "off, so nothing is logged; turn it on with: llm logs on"
    return "ok", "on"


def _database() -> Result:
    path = _folder() / "logs.db"
    if problem := _why_not_writable(path):
        # Nothing is lost that was not meant to be.
        return ("broken" if _logging()[0] == "ok" else "note"), problem
    return "ok", str(path) if path.exists() else f"{path}, not there before the first prompt"


def _why_not_writable(path: Path) -> str | None:
    """Return why llm could not write to the database now, None if it could. Nothing is written."""
    for each in (path.parent, path):  # SQLite writes to a journal beside it, too.
        if each.exists() and not os.access(each, os.W_OK):
            return (
                f"{each} cannot be written to: give yourself the right to it, or name another "
                "folder in LLM_USER_PATH"
            )
    if not path.exists():
        return None
    try:
        address = f"{path.absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(address, uri=True, timeout=LOCK_TIMEOUT)) as database:
            database.execute("begin immediate")
            database.rollback()
    except sqlite3.Error as error:
        if "locked" in str(error):
            return f"{path} is locked by another process: wait for it, or end it"
        return f"{path} cannot be written to ({error}): move it away, and llm makes a new one"
    return None


def _client() -> Result:
    try:
        text = files(generated_client).joinpath("openapi.json").read_text(encoding="utf-8")
        differing = _differences(json.loads(text))
    except (OSError, ValueError, LookupError) as error:
        differing = [f"it cannot be read, {error!r}"]
    if differing:
        return "broken", (
            f"generated_client does not match its openapi.json ({', '.join(differing)}): "
            "install llm-evolink again, or run scripts/regenerate in a clone"
        )
    return "ok", "its servers and parameters are those of openapi.json"


def _differences(document: Any) -> list[str]:
    """Return what is in only one of the document and the client made from it."""
    servers = {server["url"] for server in document["servers"]} ^ {*generated_client.SERVERS}
    schema = document["components"]["schemas"][ChatCompletionQuickRequest.__name__]
    fields = {field.name for field in attrs.fields(ChatCompletionQuickRequest) if field.init}
    return [*sorted(servers), *sorted(schema["properties"].keys() ^ fields)]
