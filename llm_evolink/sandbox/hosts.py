"""Protection of a sandbox on loopback against web pages (DNS rebinding)."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from .document import Refusal


class HostCheck:
    """Checks that a request was meant for this machine and comes from no other web site.

    A page of another site can make a browser connect to loopback under the site's own name. Both
    headers then show that name, and the page cannot change them.

    Args:
        host: The option --host, a host name or an IP address.
        address: IP address that it listens on. Beyond loopback nothing is checked.
    """

    def __init__(self, host: str, address: str) -> None:
        self._host = host.lower()
        self._active = ip_address(address).is_loopback

    def check(self, headers: Headers) -> None:
        """Raise Refusal (403) for a Host or an Origin that is not this machine."""
        if not self._active:
            return
        host, origin = headers.get("host"), headers.get("origin")
        if host is not None and not self._is_local(f"//{host}"):
            raise _refusal("Host")
        if origin is not None and not self._is_local(origin):
            raise _refusal("Origin")

    def _is_local(self, url: str) -> bool:
        try:
            host = urlsplit(url).hostname or ""
        except ValueError:
            return False
        if host in ("localhost", self._host):
            return True
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return False


def _refusal(header: str) -> Refusal:
    return Refusal(
        403,
        message=f"The {header} of the request is not this machine: web pages have no access",
        param=header,
        fallback_suggestion="use http://127.0.0.1 or http://localhost, or start it with --host",
    )
