"""What a set-up is made of, looked at part by part: each is in order, or what to do is said."""

import json
import os
import platform
import sqlite3
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from importlib.metadata import entry_points, version
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import attrs
import click
import httpx
import llm

import generated_client
from generated_client.api.chat_completion import create_chat_completion_quick as api
from generated_client.models import ChatCompletionQuickRequest, ChatCompletionResponse
from generated_client.types import Response

from . import connection, errors
from .chat import EvolinkChat
from .redaction import SHORTEST, Redactor
from .transport import FAILOVER_STATUSES
from .turn import request_id

Status = Literal["ok", "note", "broken"]
Result = tuple[Status, str]
Check = Callable[[], Result]

DEADLINE = 15.0
"""Seconds after which no server is waited for, whatever it does."""

LOCK_TIMEOUT = 5.0
"""Seconds that llm, too, waits for a locked database."""

_SETTINGS: dict[str, Callable[[], object]] = {
    "EVOLINK_BASE_URL": connection.servers,
    "EVOLINK_TIMEOUT": connection.timeout,
    "EVOLINK_MAX_RETRIES": connection.max_retries,
    "EVOLINK_MAX_WAIT": connection.max_wait,
}

# For the errors that do not say themselves what to do.
_ADVICE = {
    errors.AccessError: "see what the key may do at https://evolink.ai/dashboard/keys",
    errors.BadReplyError: "check EVOLINK_BASE_URL",
    errors.UnreachableError: "check the network, the proxy and EVOLINK_BASE_URL",
}

_COLOURS = {"ok": "green", "note": "yellow", "broken": "red"}


@dataclass(frozen=True)
class Finding:
    """What came of a check.

    Attributes:
        check: versions, settings, key, trust, server (one for each), access, proxy, model, logging,
            database or client.
        status: ok; note, for what works and may surprise; broken, for what stops a prompt or its
            log.
        message: What was found, and what to do unless it is ok. It never holds the key.
    """

    check: str
    status: Status
    message: str


def examine() -> Iterator[Finding]:
    """Yield what each check finds, in the order of Finding.check, within some 20 seconds.

    Each server gets a request that the document makes invalid: nothing is generated, or billed.
    """
    redactors = _redactors()
    for name, check in _checks():
        status, message = _attempt(check)
        for redactor in redactors:
            message = redactor.text(message)
        yield Finding(name, status, errors.clean(message) or "")


def as_lines(finding: Finding, width: int | None, encoding: str = "utf-8") -> str:
    """Return the finding in colour for a terminal of this width, on one line for None.

    What the encoding has not is shown as a question mark.
    """
    head = f"{click.style(finding.status.ljust(6), fg=_COLOURS[finding.status])}  "
    head += finding.check.ljust(8)
    said = finding.message.encode(encoding, "replace").decode(encoding)
    if width is None:
        return f"{head}  {said}"
    aside = width >= 60
    indent = " " * (18 if aside else 2)
    message = textwrap.fill(
        said,
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return f"{head}  {message.lstrip()}" if aside else f"{head.rstrip()}\n{message}"


def as_json(findings: Iterable[Finding]) -> str:
    """Return the findings as a JSON list of objects with check, status and message."""
    return json.dumps([asdict(finding) for finding in findings], indent=2)


def _checks() -> Iterator[tuple[str, Check]]:
    """Yield the name of each check and the check; the servers are asked meanwhile."""
    key = _usable_key()
    probes = [_Probe(server, key) for server in _usable_servers()]
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
        return connection.servers()
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
    connection.tls_context()  # Raises InvalidRequestError for an SSL_CERT_FILE of no use.
    if given := _given("SSL_CERT_FILE", "SSL_CERT_DIR"):
        return "ok", given
    if sys.platform in ("darwin", "win32"):
        return "ok", "the system's certificate authorities"
    for place in connection.system_authorities().values():
        return "ok", f"the system's certificate authorities, {place}"
    return "ok", "certifi's certificate authorities; the system has none"


def _no_server() -> Result:
    return "note", "not checked: EVOLINK_BASE_URL names none that can be used"


def _server(probe: "_Probe", probes: "list[_Probe]") -> Result:
    reached = [other.server for other in probes if other.is_reached()]
    if probe.seconds is None and probe.error:
        if reached:
            return "note", f"{_told(probe.error)}; meanwhile prompts go to {reached[0]}"
        raise probe.error
    url = httpx.URL(probe.server)
    found = f"{probe.server} connected in {1000 * (probe.seconds or 0):.0f} ms"
    if url.scheme == "http" and not connection.is_loopback(url.host):
        return "note", f"{found}, unencrypted: who sees the traffic can read the key; use https://"
    return "ok", found


def _access(key: str | None, probes: "list[_Probe]") -> Result:
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
    proxies = {server: connection.proxy_for(httpx.URL(server)) for server in servers}
    ways = [f"to {server} {_way(proxy)}" for server, proxy in proxies.items()]
    if variables or any(proxies.values()):
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


class _Probe:
    """A request sent to one server in the background, and what came of it.

    Attributes:
        server: Its address.
        seconds: How long connecting took, the proxy's part and TLS included; None until connected.
    """

    def __init__(self, server: str, key: str | None) -> None:
        self.server = server
        self.seconds: float | None = None
        # Any key will do to see whether a server is there.
        self._key = key or "none"
        self._response: Response[Any] | None = None
        self._failure: Exception | None = None
        self._began = self._connecting = time.monotonic()
        # A daemon, left behind at the deadline: no timeout ends a name server's silence.
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @cached_property
    def error(self) -> errors.EvolinkError | None:
        """Why a prompt would fail at this server; None if not. It is waited for."""
        self._thread.join(max(0.0, self._began + DEADLINE - time.monotonic()))
        error = self._problem()
        found = request_id(self._response.headers) if self._response else None
        return error and error.completed(redactor=Redactor(self._key), request_id=found)

    def is_reached(self) -> bool:
        """Return whether there was a connection."""
        return self.error is None or self.seconds is not None

    def decides(self) -> bool:
        """Return whether a prompt ends here, and does not go on to the next server."""
        if self.error is None:
            return True
        unreachable = isinstance(self.error, errors.UnreachableError)
        return not unreachable and self.error.status_code not in FAILOVER_STATUSES

    def _run(self) -> None:
        try:
            self._response = self._ask()
        except Exception as failure:
            self._failure = failure

    def _ask(self) -> Response[Any]:
        """Send a request without messages, once, through what carries a prompt."""
        silence = connection.TIMEOUT
        with suppress(errors.InvalidRequestError):  # _settings tells it.
            silence = connection.timeout()
        settings = connection.Settings((self.server,), silence, max_retries=0, max_wait=1)
        with connection.new_client(settings, self._key) as client:
            client.get_httpx_client().event_hooks = {"request": [self._watch]}
            return api.sync_detailed(client=client, body=ChatCompletionQuickRequest(messages=[]))

    def _watch(self, request: httpx.Request) -> None:
        request.extensions["trace"] = self._note_time

    def _note_time(self, event: str, details: dict[str, Any]) -> None:
        if event == "connection.connect_tcp.started":
            self._connecting = time.monotonic()
        # A proxy is sent a CONNECT before.
        if event == "http11.send_request_headers.started" and details["request"].method == b"POST":
            self.seconds = time.monotonic() - self._connecting

    def _problem(self) -> errors.EvolinkError | None:
        if self._failure:
            return errors.explain(self._failure, began=False)
        if self._response:
            return _refusal(self._response)
        host, seconds = httpx.URL(self.server).host, f"{DEADLINE:g} s"
        if self.seconds is None:
            return errors.UnreachableError(f"Cannot reach {host} within {seconds}")
        return errors.ServerError(f"{host} did not answer within {seconds}")


def _refusal(response: Response[Any]) -> errors.EvolinkError | None:
    """Return what is wrong with the answer; None if the key was accepted, the request not."""
    status = response.status_code
    if status in (400, 422):
        is_json = response.content.lstrip().startswith((b"{", b"["))
        return None if is_json else errors.not_a_reply(response.content)
    if isinstance(response.parsed, ChatCompletionResponse) and response.parsed.choices:
        return None
    return errors.from_status(status, response.headers, response.content)
