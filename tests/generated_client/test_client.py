"""Client and AuthenticatedClient: their settings, and that nothing they show holds the token."""

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from typing import Any

import httpx
import pytest

from generated_client import SERVERS, AuthenticatedClient, Client, errors
from generated_client.api.chat_completion import create_chat_completion_quick as api
from tests import scripted_server
from tests.four_ways import KEY, Calls, connect, request
from tests.llm_process import TIMEOUT
from tests.scripted_server import in_memory, replying, time_out

URL = "https://direct.evolink.ai"


def test_the_servers_are_the_document_s() -> None:
    text = files("generated_client").joinpath("openapi.json").read_text(encoding="utf-8")
    assert tuple(server["url"] for server in json.loads(text)["servers"]) == SERVERS


def open_sync(client: Any) -> None:
    client.get_httpx_client().close()


def open_async(client: Any) -> None:
    asyncio.run(client.get_async_httpx_client().aclose())


@pytest.mark.parametrize("opened", [None, open_sync, open_async])
@pytest.mark.parametrize(
    ("client", "text"),
    [
        pytest.param(
            AuthenticatedClient(base_url=URL, token=KEY, verify_ssl=False),
            f"AuthenticatedClient(base_url=URL({URL!r}))",
            id="AuthenticatedClient",
        ),
        pytest.param(
            Client(base_url=URL, headers={"Authorization": KEY}, verify_ssl=False),
            f"Client(base_url=URL({URL!r}))",
            id="Client",
        ),
    ],
)
def test_repr_is_without_the_token(client: Any, text: str, opened: Any) -> None:
    if opened:
        opened(client)
    assert [repr(client), str(client), f"{client}"] == [text] * 3


@pytest.mark.parametrize("client_class", [AuthenticatedClient, Client])
def test_repr_hides_the_secrets_of_the_url(client_class: Any) -> None:
    token = {"token": KEY} if client_class is AuthenticatedClient else {}
    client = client_class(base_url="https://user:hunter2@example.com/v1?key=hunter2", **token)
    assert (
        repr(client)
        == f"{client_class.__name__}(base_url=URL('https://user:[secure]@example.com/v1'))"
    )


@pytest.mark.parametrize(
    "token", ["", " ", "sk-a\n", "\tsk-a", "sk-ä", "sk-\x00a", "sk-“a”", "sk-a ", 5, None]
)
def test_a_token_that_no_header_can_carry_is_refused_and_not_shown(token: Any) -> None:
    message = "token must be printable ASCII text, not empty, without white space around it"
    with pytest.raises(ValueError, match=f"^{message}$"):
        AuthenticatedClient(base_url=URL, token=token)


class Recorder:
    """Transport of httpx, sync and async, that answers {} and keeps the requests."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(200, json={})

    def sent(self, client: AuthenticatedClient) -> httpx.Request:
        """Return what the client sends for an operation."""
        api.sync(client=client, body=request())
        return self.requests[-1]

    def sent_async(self, client: AuthenticatedClient) -> httpx.Request:
        asyncio.run(api.asyncio_detailed(client=client, body=request()))
        return self.requests[-1]


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def test_the_dicts_of_the_caller_are_copied(recorder: Recorder) -> None:
    headers = {"User-Agent": "my-app"}
    cookies = {"a": "1"}
    httpx_args = {"transport": httpx.MockTransport(recorder)}
    client = AuthenticatedClient(
        base_url=URL, token=KEY, headers=headers, cookies=cookies, httpx_args=httpx_args
    )
    before = recorder.sent(client)
    assert headers == {"User-Agent": "my-app"}
    assert cookies == {"a": "1"}
    assert list(httpx_args) == ["transport"]
    headers["User-Agent"] = cookies["a"] = "changed"
    after = recorder.sent(client)
    assert before.headers == after.headers
    assert after.headers["user-agent"] == "my-app"
    assert after.headers["cookie"] == "a=1"
    assert after.headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("given", "limits"),
    [
        ({}, {"connect": 10, "read": 600, "write": 600, "pool": 600}),
        ({"timeout": 3}, dict.fromkeys(("connect", "read", "write", "pool"), 3)),
        ({"timeout": None}, dict.fromkeys(("connect", "read", "write", "pool"))),
        (
            {"timeout": httpx.Timeout(5, connect=1)},
            {"connect": 1, "read": 5, "write": 5, "pool": 5},
        ),
    ],
    ids=str,
)
def test_the_timeout_limits_each_step(
    recorder: Recorder, given: dict[str, Any], limits: dict[str, float]
) -> None:
    transport = httpx.MockTransport(recorder)
    client = AuthenticatedClient(
        base_url=URL, token=KEY, httpx_args={"transport": transport}, **given
    )
    assert recorder.sent(client).extensions["timeout"] == limits
    assert recorder.sent_async(client).extensions["timeout"] == limits


def shown(sent: httpx.Request) -> tuple[str | None, ...]:
    """Return what a test sets: two headers, the cookies, the read time-out, the token."""
    names = ("x-one", "x-two", "cookie", "authorization")
    return (*map(sent.headers.get, names), sent.extensions["timeout"]["read"])


@pytest.mark.parametrize("custom", [False, True], ids=["own httpx client", "custom httpx client"])
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_with_methods_do_not_change_the_old_client(
    recorder: Recorder, custom: bool, asynchronous: bool
) -> None:
    transport = httpx.MockTransport(recorder)
    old = AuthenticatedClient(
        base_url=URL, token=KEY, headers={"X-One": "1"}, httpx_args={"transport": transport}
    )
    own = {"base_url": URL, "headers": {"X-Own": "custom"}, "timeout": 600, "transport": transport}
    if custom:
        old.set_httpx_client(httpx.Client(**own)).set_async_httpx_client(httpx.AsyncClient(**own))
    sent = recorder.sent_async if asynchronous else recorder.sent
    https = [old.get_httpx_client(), old.get_async_httpx_client()]
    before = [(dict(http.headers), dict(http.cookies), http.timeout) for http in https]

    new = old.with_headers({"x-one": "one", "X-Two": "2"}).with_cookies({"c": "3"}).with_timeout(9)

    bearer = f"Bearer {KEY}"
    assert shown(sent(new)) == ("one", "2", "c=3", bearer, 9)
    assert shown(sent(old)) == ("1", None, None, bearer, 600)
    assert sent(new).headers.get("x-own") == ("custom" if custom else None)
    assert [new.get_httpx_client(), new.get_async_httpx_client()] == https
    assert [(dict(http.headers), dict(http.cookies), http.timeout) for http in https] == before


def test_closing_a_derived_client_leaves_the_original_open(recorder: Recorder) -> None:
    transport = httpx.MockTransport(recorder)
    client = AuthenticatedClient(base_url=URL, token=KEY, httpx_args={"transport": transport})
    with client as old:
        with old.with_timeout(9) as new:
            assert shown(recorder.sent(new))[-1] == 9
        assert shown(recorder.sent(old))[-1] == 600

    async def run() -> None:
        async with client as old:
            async with old.with_timeout(9) as new:
                await api.asyncio(client=new, body=request())
            await api.asyncio(client=old, body=request())

    asyncio.run(run())
    assert [shown(sent)[-1] for sent in recorder.requests] == [9, 600, 9, 600]
    with connect(URL).with_timeout(9) as alone:  # Nothing to share yet: it has its own.
        assert not alone.get_httpx_client().is_closed
    assert alone.get_httpx_client().is_closed


def test_a_custom_httpx_client_gets_the_token_and_a_base_url(recorder: Recorder) -> None:
    http = httpx.Client(transport=httpx.MockTransport(recorder), timeout=7)
    client = AuthenticatedClient(base_url=f"{URL}/", token=KEY, headers={"X-One": "1"})
    sent = recorder.sent(client.set_httpx_client(http))
    assert sent.url == f"{URL}/v1/chat/completions"
    assert shown(sent) == ("1", None, None, f"Bearer {KEY}", 7)
    assert "authorization" not in http.headers
    same = httpx.Client(headers={"Authorization": f"Bearer {KEY}"})
    assert client.set_httpx_client(same).get_httpx_client() is same


@pytest.mark.parametrize("client_class", [httpx.Client, httpx.AsyncClient])
@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"auth": ("user", "hunter2")}, "auth (BasicAuth)"),
        ({"headers": {"authorization": "Bearer hunter2"}}, "the header Authorization"),
        ({"base_url": "https://user:hunter2@example.com"}, "a user name in base_url"),
        (
            {"auth": ("user", "hunter2"), "headers": {"Authorization": "hunter2"}},
            "auth (BasicAuth), the header Authorization",
        ),
    ],
)
def test_an_httpx_client_with_other_credentials_is_refused_by_name(
    client_class: Any, settings: dict[str, Any], named: str
) -> None:
    client: Any = AuthenticatedClient(base_url=URL, token=KEY)
    set_client = (
        client.set_httpx_client if client_class is httpx.Client else client.set_async_httpx_client
    )
    with pytest.raises(ValueError, match="credentials beside the token") as raised:
        set_client(client_class(**settings))
    assert f"token: {named}. " in str(raised.value)
    assert "hunter2" not in str(raised.value)
    plain: Any = Client(base_url=URL)
    assert plain.set_httpx_client(client_class(**settings)) is plain
    own = AuthenticatedClient(
        base_url=settings.get("base_url", URL),
        token=KEY,
        httpx_args={"auth": settings["auth"]} if "auth" in settings else {},
    )
    if settings.keys() & {"auth", "base_url"}:
        with pytest.raises(ValueError, match="credentials beside the token"):
            own.get_httpx_client()


def test_without_a_prefix_the_header_is_the_token(recorder: Recorder) -> None:
    client = AuthenticatedClient(
        base_url=URL,
        token=KEY,
        prefix="",
        auth_header_name="X-Api-Key",
        httpx_args={"transport": httpx.MockTransport(recorder)},
    )
    sent = recorder.sent(client)
    assert sent.headers["x-api-key"] == KEY
    assert "authorization" not in sent.headers


@pytest.mark.parametrize(
    ("header", "refused"), [("X-Api-Key", True), ("authorization", False), ("Authorization", False)]
)
@pytest.mark.parametrize(
    "settings", [{"follow_redirects": True}, {"httpx_args": {"follow_redirects": True}}]
)
def test_a_token_that_httpx_would_redirect_to_another_server_is_refused(
    settings: Any, header: str, refused: bool
) -> None:
    client = AuthenticatedClient(base_url=URL, token=KEY, auth_header_name=header, **settings)
    plain = AuthenticatedClient(base_url=URL, token=KEY, auth_header_name=header)
    for use in (
        client.get_httpx_client,
        client.get_async_httpx_client,
        lambda: plain.set_httpx_client(httpx.Client(follow_redirects=True)),
        lambda: plain.set_async_httpx_client(httpx.AsyncClient(follow_redirects=True)),
    ):
        if refused:
            with pytest.raises(ValueError, match=r"^the token is in the header X-Api-Key, which"):
                use()
        else:
            use()


def test_threads_that_begin_together_share_one_httpx_client() -> None:
    def begin(_: int) -> httpx.Client:
        barrier.wait(TIMEOUT)
        return client.get_httpx_client()

    client = Client(base_url=URL)
    barrier = threading.Barrier(16)
    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(begin, range(16)))) == 1


def check_without_the_token(error: Exception | None, expected: type[Exception]) -> None:
    assert type(error) is expected
    assert error.__cause__ is None or isinstance(error, httpx.RequestError)
    assert KEY not in f"{error!r} {error} {vars(error)}"


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        pytest.param(replying(500, b"x"), errors.UnexpectedResponse, id="unexpected response"),
        pytest.param(lambda reply: reply.events("{"), errors.InvalidEvent, id="invalid event"),
        pytest.param(lambda reply: reply.events(), errors.IncompleteStream, id="incomplete stream"),
        pytest.param(lambda reply: reply.cut(), httpx.RemoteProtocolError, id="cut"),
    ],
)
def test_an_error_is_without_the_token(
    calls: Calls, handler: scripted_server.Handler, expected: type[Exception]
) -> None:
    with scripted_server.serve(handler) as server:
        [outcome] = calls.streams(connect(server.url), body=request(seed=1))
    check_without_the_token(outcome.error, expected)


def test_a_read_time_out_is_without_the_token(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_memory(monkeypatch, time_out)
    [outcome] = calls.streams(connect(URL), body=request(seed=1))
    check_without_the_token(outcome.error, httpx.ReadTimeout)
