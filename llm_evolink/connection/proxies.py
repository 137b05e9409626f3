"""The proxy that the environment names for a URL."""

from urllib.request import getproxies, proxy_bypass

import httpx

from ..errors import InvalidRequestError
from . import tls
from .settings import is_loopback, names_a_host


def proxy_for(url: httpx.URL) -> httpx.Proxy | None:
    """Return the environment's proxy for the URL; never one for loopback.

    Raises InvalidRequestError, which does not show what may hold a password, for one of no use.
    """
    if is_loopback(url.host) or proxy_bypass(url.host):
        return None
    proxies = getproxies()
    name = url.scheme if url.scheme in proxies else "all"
    address = proxies.get(name)
    if not address:
        return None
    try:
        proxy = httpx.URL(address if "://" in address else f"http://{address}")
        usable = proxy.scheme in ("http", "https") and names_a_host(proxy)
    except httpx.InvalidURL:
        usable = False
    if not usable:
        raise InvalidRequestError(
            f"{name.upper()}_PROXY is not the address of an http:// or https:// proxy"
        )
    return httpx.Proxy(proxy, ssl_context=tls.tls_context() if proxy.scheme == "https" else None)
