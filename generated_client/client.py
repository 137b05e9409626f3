"""The clients: which server, which token, headers, cookies, time-outs, and the httpx client that sends."""

from __future__ import annotations

import re
import ssl
from typing import Any, Self

import httpx
from attrs import define, evolve, field

SERVERS: tuple[str, ...] = (
    "https://direct.evolink.ai",
    "https://api.evolink.ai",
)
"""Base URLs of the API, the recommended one first."""

DEFAULT_TIMEOUT = httpx.Timeout(600, connect=10)
"""600 seconds without data, 10 seconds to connect."""


@define(eq=False)
class _BaseClient:
    """What both clients have in common."""

    raise_on_unexpected_status: bool = field(default=True, kw_only=True)
    _base_url: str = field(alias="base_url")
    _cookies: dict[str, str] = field(factory=dict, kw_only=True, alias="cookies")
    _headers: dict[str, str] = field(factory=dict, kw_only=True, alias="headers")
    _timeout: httpx.Timeout | float | None = field(
        default=DEFAULT_TIMEOUT, kw_only=True, alias="timeout"
    )
    _verify_ssl: str | bool | ssl.SSLContext = field(
        default=True, kw_only=True, alias="verify_ssl"
    )
    _follow_redirects: bool = field(
        default=False, kw_only=True, alias="follow_redirects"
    )
    _httpx_args: dict[str, Any] = field(factory=dict, kw_only=True, alias="httpx_args")
    _client: httpx.Client | None = field(default=None, init=False)
    _async_client: httpx.AsyncClient | None = field(default=None, init=False)
    # httpx clients of the client that this one was made from, which opens and closes them.
    _shared: httpx.Client | None = field(default=None, init=False)
    _async_shared: httpx.AsyncClient | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        # The caller's own dicts stay as they are, and may change later.
        self._cookies = dict(self._cookies)
        self._headers = dict(self._headers)
        self._httpx_args = dict(self._httpx_args)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={httpx.URL(self._base_url).copy_with(query=None)!r})"

    def with_headers(self, headers: dict[str, str]) -> Self:
        """Return a client with these headers added or replaced. This client stays as it is.

        The new client sends through the same httpx client where this one has one, and leaves it to
        this one to close it. The same goes for with_cookies and with_timeout.
        """
        names = {name.lower() for name in headers}
        kept = {
            name: value
            for name, value in self._headers.items()
            if name.lower() not in names
        }
        return self._with(headers={**kept, **headers})

    def with_cookies(self, cookies: dict[str, str]) -> Self:
        """Return a client with these cookies added or replaced. This client stays as it is."""
        return self._with(cookies={**self._cookies, **cookies})

    def with_timeout(self, timeout: httpx.Timeout | float | None) -> Self:
        """Return a client with these time-outs, as the argument timeout. This client stays as it is."""
        return self._with(timeout=timeout)

    def _with(self, **changes: Any) -> Self:
        new = evolve(self, **changes)
        new._client = new._shared = self._client
        new._async_client = new._async_shared = self._async_client
        return new

    def set_httpx_client(self, client: httpx.Client) -> Self:
        """Send through this httpx client from now on, and return self.

        Its own settings hold: transport, TLS, proxy, redirects, base_url if it has one. Each request
        carries this client's headers, token and cookies besides, and its timeout where one was given.
        The httpx client itself is not changed.

        Raises:
            ValueError: If this client has a token, and the httpx client credentials of its own.
        """
        self._check_credentials(client)
        self._client, self._shared = client, None
        return self

    def get_httpx_client(self) -> httpx.Client:
        """Return the httpx client of the sync functions, made on first use."""
        if self._client is None:
            made = httpx.Client(**self._httpx_settings())
            self._check_credentials(made)
            self._client = made
        return self._client

    def __enter__(self) -> Self:
        """Open the httpx client, which can be opened once, and return self."""
        client = self.get_httpx_client()
        if client is not self._shared:
            client.__enter__()
        return self

    def __exit__(self, *args: Any, **kwargs: Any) -> None:
        """Close the httpx client, unless another client made it."""
        client = self.get_httpx_client()
        if client is not self._shared:
            client.__exit__(*args, **kwargs)

    def set_async_httpx_client(self, async_client: httpx.AsyncClient) -> Self:
        """As set_httpx_client, for the asyncio functions."""
        self._check_credentials(async_client)
        self._async_client, self._async_shared = async_client, None
        return self

    def get_async_httpx_client(self) -> httpx.AsyncClient:
        """Return the httpx client of the asyncio functions, made on first use; for one event loop."""
        if self._async_client is None:
            made = httpx.AsyncClient(**self._httpx_settings())
            self._check_credentials(made)
            self._async_client = made
        return self._async_client

    async def __aenter__(self) -> Self:
        """Open the asynchronous httpx client, which can be opened once, and return self."""
        client = self.get_async_httpx_client()
        if client is not self._async_shared:
            await client.__aenter__()
        return self

    async def __aexit__(self, *args: Any, **kwargs: Any) -> None:
        """Close the asynchronous httpx client, unless another client made it."""
        client = self.get_async_httpx_client()
        if client is not self._async_shared:
            await client.__aexit__(*args, **kwargs)

    def build_request(
        self, http: httpx.Client | httpx.AsyncClient, **arguments: Any
    ) -> httpx.Request:
        """Return the request that http.build_request makes of these arguments and this client's settings."""
        headers = httpx.Headers(self._request_headers())
        headers.update(arguments.get("headers"))
        arguments["headers"] = headers
        if self._cookies:
            arguments["cookies"] = {**self._cookies, **arguments.get("cookies", {})}
        if self._timeout is not DEFAULT_TIMEOUT:
            arguments["timeout"] = self._timeout
        if http.base_url.is_relative_url:
            arguments["url"] = self._base_url.rstrip("/") + arguments["url"]
        return http.build_request(**arguments)

    def hide_credentials(self, text: str) -> str:
        """Return the text without the token."""
        return text

    def _httpx_settings(self) -> dict[str, Any]:
        return {
            "base_url": self._base_url,
            "cookies": self._cookies,
            "headers": self._request_headers(),
            "timeout": self._timeout,
            "verify": self._verify_ssl,
            "follow_redirects": self._follow_redirects,
            **self._httpx_args,
        }

    def _request_headers(self) -> dict[str, str]:
        return self._headers

    def _check_credentials(self, http: httpx.Client | httpx.AsyncClient) -> None:
        pass


@define(repr=False, eq=False)
class Client(_BaseClient):
    """Client without a token.

    Args:
        base_url: URL of the server, to which each operation adds its path.
        raise_on_unexpected_status: Whether the functions that return a parsed body raise
            errors.UnexpectedResponse for a response that the API description does not describe: an
            unknown status, or a body that cannot be decoded. False makes them return None.
        cookies: Cookies that every request carries.
        headers: Headers that every request carries.
        timeout: Seconds, or an httpx.Timeout; None for no limit. It limits each step, not the whole
            request: connecting, sending a part, receiving a part, waiting for a free connection. A
            response that keeps sending data is not interrupted. The default is 600 seconds, 10 to
            connect.
        verify_ssl: Whether to verify the server's certificate, or the path of a CA bundle, or an
            ssl.SSLContext. False is for tests only: anyone on the way can then read the request.
        follow_redirects: Whether to follow redirects.
        httpx_args: More arguments of httpx.Client and httpx.AsyncClient, such as transport or proxy.
    """


def _check_token(client: object, attribute: object, token: str) -> None:
    # The token is not shown: who reads the error may not know it.
    if not isinstance(token, str) or not re.fullmatch("[!-~](?:[ -~]*[!-~])?", token):
        raise ValueError(
            "token must be printable ASCII text, not empty, without white space around it"
        )


@define(repr=False, eq=False)
class AuthenticatedClient(_BaseClient):
    """Client whose requests carry a token, in a header.

    Args:
        base_url: URL of the server, to which each operation adds its path.
        raise_on_unexpected_status: Whether the functions that return a parsed body raise
            errors.UnexpectedResponse for a response that the API description does not describe: an
            unknown status, or a body that cannot be decoded. False makes them return None.
        cookies: Cookies that every request carries.
        headers: Headers that every request carries.
        timeout: Seconds, or an httpx.Timeout; None for no limit. It limits each step, not the whole
            request: connecting, sending a part, receiving a part, waiting for a free connection. A
            response that keeps sending data is not interrupted. The default is 600 seconds, 10 to
            connect.
        verify_ssl: Whether to verify the server's certificate, or the path of a CA bundle, or an
            ssl.SSLContext. False is for tests only: anyone on the way can then read the request.
        follow_redirects: Whether to follow redirects.
        httpx_args: More arguments of httpx.Client and httpx.AsyncClient, such as transport or proxy.
        token: API key. It is in no repr and in no message of an error.
        prefix: What precedes the token in the header; empty for nothing.
        auth_header_name: Name of the header.

    Raises:
        ValueError: If the token cannot be sent in a header.

    Example:
        with AuthenticatedClient(base_url=SERVERS[0], token=os.environ["API_KEY"]) as client:
            ...
    """

    token: str = field(validator=_check_token)
    prefix: str = "Bearer"
    auth_header_name: str = "Authorization"

    def hide_credentials(self, text: str) -> str:
        """Return the text with [token] in place of the token."""
        return text.replace(self.token, "[token]")

    def _request_headers(self) -> dict[str, str]:
        name = self.auth_header_name.lower()
        others = {
            key: value for key, value in self._headers.items() if key.lower() != name
        }
        return {**others, self.auth_header_name: self._credentials()}

    def _credentials(self) -> str:
        return f"{self.prefix} {self.token}" if self.prefix else self.token

    def _check_credentials(self, http: httpx.Client | httpx.AsyncClient) -> None:
        """Raise ValueError, naming them, if the httpx client sends other credentials than the token."""
        found = []
        if http.auth is not None:
            found.append(f"auth ({type(http.auth).__name__})")
        if (
            http.headers.get(self.auth_header_name, self._credentials())
            != self._credentials()
        ):
            found.append(f"the header {self.auth_header_name}")
        if http.base_url.userinfo:
            found.append("a user name in base_url")
        if found:
            raise ValueError(
                f"the httpx client has credentials beside the token: {', '.join(found)}. "
                "Remove them, or use Client, which has no token"
            )
