"""The servers of a document: prompts and the API key are sent to them."""

import re
from copy import deepcopy
from typing import Any

import httpx

from .errors import RegenerationError, one_line


def with_checked_servers(document: dict[str, Any]) -> dict[str, Any]:
    """Return a copy whose servers are https origins, with their variables replaced.

    Raises RegenerationError when there is none or one is not an https origin. A path /v1 is
    allowed and left out.
    """
    servers = document.get("servers")
    if not servers:
        raise RegenerationError("servers is empty: the client would have no server to send to")
    document = deepcopy(document)
    document["servers"] = [
        {
            **{key: value for key, value in server.items() if key != "variables"},
            "url": _origin(_without_variables(server)),
        }
        for server in servers
    ]
    return document


def require_known_hosts(
    old: dict[str, Any], new: dict[str, Any], allowed: frozenset[str] = frozenset()
) -> None:
    """Raise RegenerationError for a host that neither the old document nor allowed has.

    Both documents are those of with_checked_servers.
    """
    for host in sorted(_hosts(new) - _hosts(old) - allowed):
        first = httpx.URL(new["servers"][0]["url"]).host == host
        raise RegenerationError(
            f"server {host} is new{', and the first' if first else ''}: prompts and the API key "
            f"would be sent there (the first server was {old['servers'][0]['url']}, now "
            f"{new['servers'][0]['url']}). If EvoLink announced it, add --allow-server {host}"
        )


def _hosts(document: dict[str, Any]) -> frozenset[str]:
    return frozenset(httpx.URL(server["url"]).host for server in document["servers"])


def _without_variables(server: dict[str, Any]) -> str:
    """Return the URL with each variable replaced by its default."""
    url: str = server["url"]
    for name, variable in server.get("variables", {}).items():
        url = url.replace(f"{{{name}}}", str(variable.get("default", "")))
    return url


def _origin(url: str) -> str:
    """Return the URL as https://HOST or https://HOST:PORT. Raises RegenerationError."""
    refused = f"server {url!r} is refused"
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise RegenerationError(f"{refused}: {one_line(error)}") from error
    if parsed.scheme != "https" or not parsed.host or re.search(r"[{}%]|\.\.", parsed.host):
        raise RegenerationError(f"{refused}: it is not https://HOST")
    if parsed.userinfo or "@" in url:
        raise RegenerationError("a server with a user name is refused: give https://HOST alone")
    if parsed.query or parsed.fragment or parsed.path.rstrip("/") not in ("", "/v1"):
        raise RegenerationError(f"{refused}: only the path /v1 may follow the host")
    return f"https://{parsed.netloc.decode()}"
