"""One model used from many threads, tasks, loops and processes at once."""

import asyncio
import contextvars
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from llm_evolink import AsyncEvolinkChat, EvolinkChat
from llm_evolink.connection import clients
from llm_evolink.constants import MODEL_ID
from tests import scripted_server
from tests.llm_process import TIMEOUT, run_forked
from tests.scripted_server import answer, serving

pytestmark = pytest.mark.usefixtures("environment")


def echo(reply: scripted_server.Reply) -> None:
    answer(reply, f"re: {reply.request.json()['messages'][0]['content']}")


def test_sixteen_threads(monkeypatch):
    model = EvolinkChat(MODEL_ID)

    def prompt(number: int) -> str:
        return model.prompt(f"{number}", stream=bool(number % 2)).text()

    with serving(monkeypatch, echo), ThreadPoolExecutor(16) as threads:
        texts = list(threads.map(prompt, range(96)))

    assert texts == [f"re: {number}" for number in range(96)]


def test_threads_share_a_client(monkeypatch):
    """While a thread makes the client, another cannot: it does not come within half a second."""
    made: list[tuple[Any, ...]] = []
    both = threading.Barrier(2)
    new_client = clients._new_client

    def make(*place: Any) -> Any:
        made.append(place)
        with suppress(threading.BrokenBarrierError):
            both.wait(0.5)
        return new_client(*place)

    monkeypatch.setattr(clients, "_new_client", make)
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(clients.client, ["sk-shared"] * 2))

    assert len(made) == 1
    assert found[0] is found[1]


def test_three_hundred_tasks(monkeypatch):
    model = AsyncEvolinkChat(MODEL_ID)

    async def prompt(number: int) -> str:
        return await model.prompt(f"{number}", stream=bool(number % 2)).text()

    async def main() -> list[str]:
        return await asyncio.gather(*map(prompt, range(300)))

    with serving(monkeypatch, echo):
        texts = asyncio.run(main())

    assert texts == [f"re: {number}" for number in range(300)]


def test_tasks_that_share_a_context_send_each_request_once(monkeypatch, later):
    """Each request counts as written, though tasks of one context are sending others."""
    all_arrived = threading.Barrier(4)

    def drop(reply: scripted_server.Reply) -> None:
        if len(server.requests) <= 4:
            all_arrived.wait(TIMEOUT)
        raise ConnectionAbortedError

    async def main() -> list[BaseException | str]:
        context = contextvars.copy_context()
        model = AsyncEvolinkChat(MODEL_ID)
        asking = [model.prompt(f"{number}").text() for number in range(4)]
        tasks = [asyncio.create_task(each, context=context) for each in asking]
        return await asyncio.gather(*tasks, return_exceptions=True)

    later(1.01)
    monkeypatch.setenv("EVOLINK_MAX_RETRIES", "1")
    with serving(monkeypatch, drop) as server:
        outcomes = asyncio.run(main())

    assert ["may have been billed" in str(outcome) for outcome in outcomes] == [True] * 4
    assert len(server.requests) == 4


def test_successive_event_loops(monkeypatch):
    model = AsyncEvolinkChat(MODEL_ID)

    async def main() -> str:
        first = await model.prompt("one").text()
        return first + await model.prompt("two").text()

    with serving(monkeypatch, echo) as server:
        texts = [asyncio.run(main()) for _ in range(3)]

    assert texts == ["re: onere: two"] * 3
    # Each loop has a connection and a client, which are closed with it.
    assert server.connections == 3
    assert clients._async_clients == {}


def test_a_cancelled_task_does_not_end_others(monkeypatch):
    received = threading.Event()

    def handler(reply: scripted_server.Reply) -> None:
        if b"stall" in reply.request.body:
            received.set()
            assert reply.closed()
        else:
            echo(reply)

    async def main() -> str:
        model = AsyncEvolinkChat(MODEL_ID)
        stalled = asyncio.create_task(model.prompt("stall").text())
        assert await asyncio.to_thread(received.wait, TIMEOUT)
        stalled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stalled
        return await model.prompt("on").text()

    with serving(monkeypatch, handler):
        assert asyncio.run(main()) == "re: on"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Run this script with all of Python's warnings as errors; return the finished process."""

    def run(script: str) -> Any:
        head = "import asyncio, logging, os, sys\nfrom llm_evolink import *\n"
        head += "from llm_evolink.constants import MODEL_ID\n"
        # In development mode asyncio also warns of slow steps, such as the first import of httpx.
        head += "logging.getLogger('asyncio').setLevel('ERROR')\n"
        with serving(monkeypatch, echo):
            return subprocess.run(
                [sys.executable, "-W", "error", "-X", "dev", "-c", head + textwrap.dedent(script)],
                capture_output=True,
                text=True,
                timeout=TIMEOUT,
                check=False,
            )

    return run


# Each process checks several uses: starting one costs as much as a hundred prompts.
SCRIPTS = {
    "sync": """
        print(EvolinkChat(MODEL_ID).prompt("complete", stream=False).text())
        print(EvolinkChat(MODEL_ID).prompt("streamed").text())
        print("left:", next(iter(EvolinkChat(MODEL_ID).prompt("hi"))))
    """,
    "async": """
        async def ask():
            print(await AsyncEvolinkChat(MODEL_ID).prompt("streamed").text())
            print(await AsyncEvolinkChat(MODEL_ID).prompt("complete", stream=False).text())

        async def cancel():
            task = asyncio.create_task(AsyncEvolinkChat(MODEL_ID).prompt("hi").text())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            print("cancelled")

        asyncio.run(ask())
        asyncio.run(cancel())
        for _ in range(2):
            loop = asyncio.new_event_loop()
            loop.run_until_complete(ask())
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
        asyncio.run(cancel())
    """,
    "fork": """
        assert EvolinkChat(MODEL_ID).prompt("before").text() == "re: before"
        assert asyncio.run(AsyncEvolinkChat(MODEL_ID).prompt("before")._force())
        child = os.fork()
        text = EvolinkChat(MODEL_ID).prompt("sync").text()
        reply = asyncio.run(AsyncEvolinkChat(MODEL_ID).prompt("async")._force())
        status = os.waitpid(child, 0)[1] if child else 0
        print(text, reply.text_or_raise(), sep="\\n", flush=True)
        sys.exit(status)
    """,
}
ASKED = ["re: streamed", "re: complete"]
PRINTED = {
    "sync": ["re: complete", "re: streamed", "left: re: hi"],
    "async": [*ASKED, "cancelled", *ASKED, *ASKED, "cancelled"],
    "fork": ["re: sync", "re: async"] * 2,
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_nothing_is_left_open_at_exit(run, name):
    done = run(SCRIPTS[name])

    assert (done.stdout.splitlines(), done.stderr) == (PRINTED[name], "")
    assert done.returncode == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_uses_its_own_connections(monkeypatch):
    def prompt_in_child() -> None:
        assert EvolinkChat(MODEL_ID).prompt("in the child").text() == "re: in the child"

    with serving(monkeypatch, echo) as server:
        assert EvolinkChat(MODEL_ID).prompt("before").text() == "re: before"
        with clients._lock:  # Held by another thread, say, at the time of the fork.
            status = run_forked(prompt_in_child)
        assert EvolinkChat(MODEL_ID).prompt("after").text() == "re: after"

    assert status == 0
    assert server.connections == 2
