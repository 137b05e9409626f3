"""Clients are kept for the next prompt, a few at a time."""

import asyncio
import gc
import sys

import httpcore
import httpx
import pytest

from llm_evolink import AsyncEvolinkChat, EvolinkChat
from llm_evolink.connection import clients
from llm_evolink.connection.settings import Settings
from llm_evolink.constants import MODEL_ID
from tests.scripted_server import UNREACHABLE, Reply, Server, answer, chunk, serving


@pytest.fixture(autouse=True)
def _environment(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "_clients", {})
    monkeypatch.setattr(clients, "_async_clients", {})


def test_the_least_recently_used_client_is_closed(monkeypatch):
    with serving(monkeypatch, answer) as server:
        for number in range(3 * clients.MAX_CLIENTS):
            EvolinkChat(MODEL_ID).prompt("hi", key=f"sk-user-{number}").text()
            EvolinkChat(MODEL_ID).prompt("hi", key="sk-used-often").text()
        keys = [key for _, key in clients._clients]
        open_connections = sum(
            len(connections._pool.connections)
            for _, transport in clients._clients.values()
            for connections in transport._connections.values()
        )
        clients._close()

    assert len(keys) == clients.MAX_CLIENTS
    assert keys[-1] == "sk-used-often"
    assert open_connections == clients.MAX_CLIENTS
    assert server.connections == 3 * clients.MAX_CLIENTS + 1


def test_an_evicted_client_finishes_its_stream(monkeypatch):
    monkeypatch.setattr(clients, "MAX_CLIENTS", 1)
    with serving(monkeypatch, answer):
        first = iter(EvolinkChat(MODEL_ID).prompt("hi", key="sk-first-key"))
        text = next(first)
        transport = next(iter(clients._clients.values()))[1]
        EvolinkChat(MODEL_ID).prompt("hi", key="sk-second-key").text()
        text += "".join(first)
        left = [each._pool.connections for each in transport._connections.values()]
        clients._close()

    assert (text, left) == ("hi", [[]])


def test_an_evicted_async_client_finishes_its_stream(monkeypatch):
    monkeypatch.setattr(clients, "MAX_CLIENTS", 1)

    async def main() -> tuple[str, int]:
        first = aiter(AsyncEvolinkChat(MODEL_ID).prompt("hi", key="sk-first-key"))
        text = await anext(first)
        await AsyncEvolinkChat(MODEL_ID).prompt("hi", key="sk-second-key").text()
        async for part in first:
            text += part
        return text, len(clients._async_clients)

    with serving(monkeypatch, answer):
        assert asyncio.run(main()) == ("hi", 1)


def test_an_evicted_async_client_finishes_its_stream_when_its_key_is_used_again(monkeypatch):
    """The new client has the key before the event loop gets to close the old one."""
    monkeypatch.setattr(clients, "MAX_CLIENTS", 1)

    def in_two_parts(reply: Reply) -> None:
        reply.start()
        reply.event(chunk("one "))
        reply.wait_until_read()
        reply.event(chunk("two"))
        reply.event({"choices": [{"delta": {}, "finish_reason": "stop"}]})
        reply.event("[DONE]")
        reply.end()

    async def main(server: Server) -> tuple[str, list[str]]:
        first = aiter(AsyncEvolinkChat(MODEL_ID).prompt("hi", key="sk-first-key"))
        text = await anext(first)
        for key in ("sk-second-key", "sk-first-key"):
            await clients.async_client(key)
        for _ in range(10):
            await asyncio.sleep(0)
        server.client_read.set()
        async for part in first:
            text += part
        return text, [key for *_, key in clients._async_clients]

    with serving(monkeypatch, in_two_parts) as server:
        assert asyncio.run(main(server)) == ("one two", ["sk-first-key"])


@pytest.mark.parametrize("timeout", [None, 5.0])
def test_one_httpx_client_sends_all_prompts_of_an_event_loop(monkeypatch, timeout):
    async def main() -> set[httpx.AsyncClient]:
        found = [await clients.async_client("sk-test-key", timeout) for _ in range(3)]
        return {each.get_async_httpx_client() for each in found}

    monkeypatch.setenv("EVOLINK_BASE_URL", UNREACHABLE)
    assert len(asyncio.run(main())) == 1


def test_many_keys_leave_few_sockets_open(monkeypatch):
    async def main() -> int:
        for number in range(3 * clients.MAX_CLIENTS):
            await AsyncEvolinkChat(MODEL_ID).prompt("hi", key=f"sk-user-{number}").text()
        gc.collect()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return len(clients._async_clients)

    with serving(monkeypatch, answer):
        assert asyncio.run(main()) == clients.MAX_CLIENTS


def test_a_client_of_a_closed_event_loop_is_forgotten(monkeypatch):
    with serving(monkeypatch, answer):
        for _ in range(3):
            loop = asyncio.new_event_loop()
            # Not asyncio.run(), which would close the client with the loop.
            loop.run_until_complete(clients.async_client("sk-test-loop"))
            loop.close()

    assert len(clients._async_clients) == 1


def test_an_event_loop_that_closes_no_generators(monkeypatch):
    """As nest_asyncio's loop and that of qasync: clients are kept, and freed, all the same."""

    async def main() -> None:
        sys.set_asyncgen_hooks(None, None)
        for number in range(2 * clients.MAX_CLIENTS):
            await clients.async_client(f"sk-user-{number}")

    monkeypatch.setenv("EVOLINK_BASE_URL", UNREACHABLE)
    for _ in range(2):
        asyncio.run(main())

    assert len(clients._async_clients) == clients.MAX_CLIENTS


def test_settings_can_be_changed_for_a_context(monkeypatch):
    monkeypatch.setenv("EVOLINK_BASE_URL", UNREACHABLE)
    with clients.changed_settings(max_retries=0, connections=32):
        with clients.changed_settings(max_wait=1.0):
            inner = clients._settings()
        outer = clients._settings()

    assert inner == Settings((UNREACHABLE,), 600.0, 0, 1.0, 32)
    assert outer == Settings((UNREACHABLE,), 600.0, 0, 20.0, 32)
    assert clients._settings() == Settings.from_environment()


def test_the_setting_connections_keeps_as_many_open(monkeypatch):
    together = 20

    async def main() -> None:
        model = AsyncEvolinkChat(MODEL_ID)
        for _ in range(3):
            await asyncio.gather(*(model.prompt("hi").text() for _ in range(together)))

    with (
        serving(monkeypatch, answer) as server,
        clients.changed_settings(connections=together),
    ):
        asyncio.run(main())

    assert server.connections <= together


def test_httpcore_has_the_private_attributes_that_are_used():
    pool = httpcore.ConnectionPool()

    assert isinstance(pool._network_backend, httpcore.NetworkBackend)
    assert pool._assign_requests_to_connections() == []
    assert hasattr(pool, "_optional_thread_lock")
    assert hasattr(pool, "_max_keepalive_connections")
