"""Checks of the connection: servers, authentication, proxy."""

import os

import httpx

from ... import errors
from ...connection import proxies, settings
from .finding import Result
from .probe import Probe

# Advice for the errors whose message has none.
_ADVICE = {
    errors.AccessError: "see what the key may do at https://evolink.ai/dashboard/keys",
    errors.BadReplyError: "check EVOLINK_BASE_URL",
    errors.UnreachableError: "check the network, the proxy and EVOLINK_BASE_URL",
}


def with_advice(error: errors.EvolinkError) -> str:
    """Return the message of the error and what to do, without the advice to run doctor."""
    return "; ".join(
        filter(None, (str(error).replace(f"; {errors.DOCTOR}", ""), _ADVICE.get(type(error))))
    )


def no_server() -> Result:
    """Return the note for an EVOLINK_BASE_URL that names no server."""
    return "note", "not checked: EVOLINK_BASE_URL names no usable server"


def server(probe: Probe, probes: list[Probe]) -> Result:
    """Return whether the server can be reached. Raises the EvolinkError if not."""
    if probe.error and probe.seconds is None:  # The error comes first: it waits for the response.
        reached = [other.server for other in probes if other.is_reached()]
        if reached:
            return "note", f"{with_advice(probe.error)}; meanwhile prompts go to {reached[0]}"
        raise probe.error
    url = httpx.URL(probe.server)
    found = f"{probe.server} connected in {1000 * (probe.seconds or 0):.0f} ms"
    if url.scheme == "http" and not settings.is_loopback(url.host):
        return (
            "note",
            f"{found}, unencrypted: anyone who sees the traffic can read the key; use https://",
        )
    return "ok", found


def authentication(key: str | None, probes: list[Probe]) -> Result:
    """Return whether the server that would answer a prompt accepts the key."""
    if not key:
        return "note", "not checked: there is no key to send"
    reached = [probe for probe in probes if probe.is_reached()]
    if not reached:
        return "note", "not checked: no server was reached"
    # A prompt is sent to the next server when one cannot answer.
    probe = next((probe for probe in reached if probe.prevents_failover()), reached[0])
    if probe.error:
        raise probe.error
    if probe.unclear_refusal:
        return "note", (
            f"unknown: {probe.server} refused the test request, but not because it has no "
            f"messages: {probe.unclear_refusal}"
        )
    return "ok", f"{probe.server} accepts the key"


def proxy(servers: list[str]) -> Result:
    """Return which proxy each server is reached through."""
    names = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    variables = sorted(name for name in os.environ if name.lower() in names and os.environ[name])
    found = {server: proxies.proxy_for(httpx.URL(server)) for server in servers}
    routes = [f"to {server} {_route(proxy)}" for server, proxy in found.items()]
    if variables or any(found.values()):
        source = ", ".join(variables) or "the system's settings"
        return "ok", f"{source}: {', '.join(routes) or 'there is no server to reach'}"
    return "ok", "none"


def _route(proxy: httpx.Proxy | None) -> str:
    """Return the URL of the proxy, without the user's name and password."""
    return f"through {proxy.url.scheme}://{proxy.url.netloc.decode()}" if proxy else "directly"
