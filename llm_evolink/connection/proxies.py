"""The proxy that the environment names for a URL."""

from importlib.util import find_spec
from urllib.request import getproxies, proxy_bypass

import httpx

from ..errors import InvalidRequestError
from ..redaction import keep_credentials_out
from . import tls
from .settings import is_loopback, names_a_host

_PORTS = {"http": 80, "https": 443}
_SOCKS = ("socks5", "socks5h")


def proxy_for(url: httpx.URL) -> httpx.Proxy | None:
    """Return the environment's proxy for the URL; never one for loopback.

    Raises InvalidRequestError for a proxy that cannot be used. The message does not show its URL,
    which may contain a password.
    """
    if is_loopback(url.host) or proxy_bypass(f"{url.host}:{url.port or _PORTS[url.scheme]}"):
        return None
    proxies = getproxies()
    name = url.scheme if url.scheme in proxies else "all"
    named = proxies.get(name)
    if not named:
        return None
    variable = f"{name.upper()}_PROXY"
    try:
        proxy = httpx.URL(named if "://" in named else f"http://{named}")
        usable = proxy.scheme in ("http", "https", *_SOCKS) and names_a_host(proxy)
    except (httpx.InvalidURL, UnicodeError):
        usable = False
    if not usable:
        raise InvalidRequestError(
            f"{variable} is not the URL of an http://, https:// or socks5:// proxy"
        )
    if proxy.scheme in _SOCKS and not find_spec("socksio"):
        from ..extra import install_command  # Every prompt imports this module.

        raise InvalidRequestError(
            f"{variable} is a SOCKS proxy, which needs: {install_command('socks')}"
        )
    keep_credentials_out(proxy.username, proxy.password)
    return httpx.Proxy(proxy, ssl_context=tls.tls_context() if proxy.scheme == "https" else None)
