"""One model used from many threads, tasks, loops and processes at once."""

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from llm_evolink.chat import AsyncEvolinkChat, EvolinkChat
from llm_evolink.connection import clients
from tests import scripted_server
from tests.four_ways import answer, serving
from tests.llm_process import TIMEOUT


@pytest.fixture(autouse=True)
def _environment(environment: None) -> None:
    pass


def echo(reply: scripted_server.Reply) -> None:
    answer(reply, f"re: {reply.request.json()['messages'][0]['content']}")


def test_sixteen_threads(monkeypatch):
    model = EvolinkChat()

    def prompt(number: int) -> str:
        return model.prompt(f"{number}", stream=bool(number % 2)).text()

    with serving(monkeypatch, echo) as server, ThreadPoolExecutor(16) as threads:
        texts = list(threads.map(prompt, range(96)))

    assert texts == [f"re: {number}" for number in range(96)]
    assert server.connections <= 96


def test_they_share_a_client(monkeypatch):
    monkeypatch.setenv("EVOLINK_BASE_URL", "http://127.0.0.1:2")
    with ThreadPoolExecutor(16) as threads:
        made = set(map(id, threads.map(clients.client, ["sk-shared"] * 64)))

    assert len(made) == 1


def test_three_hundred_tasks(monkeypatch):
    model = AsyncEvolinkChat()

    async def prompt(number: int) -> str:
        return await model.prompt(f"{number}", stream=bool(number % 2)).text()

    async def main() -> list[str]:
        return await asyncio.gather(*map(prompt, range(300)))

    with serving(monkeypatch, echo):
        texts = asyncio.run(main())

    assert texts == [f"re: {number}" for number in range(300)]


def test_one_loop_after_the_other(monkeypatch):
    model = AsyncEvolinkChat()

    async def main() -> str:
        first = await model.prompt("one").text()
        return first + await model.prompt("two").text()

    with serving(monkeypatch, echo) as server:
        texts = [asyncio.run(main()) for _ in range(3)]

    assert texts == ["re: onere: two"] * 3
    # A connection for each loop, closed with it, and nothing kept of it.
    assert server.connections == 3
    assert clients._async_clients == {}


def test_a_cancelled_task_leaves_the_others_alone(monkeypatch):
    asked = threading.Event()

    def handler(reply: scripted_server.Reply) -> None:
        if b"stall" in reply.request.body:
            asked.set()
            assert reply.closed()
        else:
            echo(reply)

    async def main() -> str:
        model = AsyncEvolinkChat()
        stalled = asyncio.create_task(model.prompt("stall").text())
        assert await asyncio.to_thread(asked.wait, TIMEOUT)
        stalled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stalled
        return await model.prompt("on").text()

    with serving(monkeypatch, handler):
        assert asyncio.run(main()) == "re: on"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Run this script with all of Python's warnings as errors; returns what it did."""

    def run(script: str) -> Any:
        head = "import asyncio, logging, os, sys\nfrom llm_evolink.chat import *\n"
        # Development mode also tells what is slow: the first import of httpx, say.
        head += "logging.getLogger('asyncio').setLevel('ERROR')\n"
        with serving(monkeypatch, echo):
            return subprocess.run(
                [sys.executable, "-W", "error", "-X", "dev", "-c", head + textwrap.dedent(script)],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )

    return run


SCRIPTS = {
    "sync": """
        print(EvolinkChat().prompt("hi").text())
        print(EvolinkChat().prompt("hi", stream=False).text())
    """,
    "left": """
        print("re:", next(iter(EvolinkChat().prompt("hi")))[4:])
        print("re: hi")
    """,
    "async": """
        async def main():
            print(await AsyncEvolinkChat().prompt("hi").text())
            print(await AsyncEvolinkChat().prompt("hi", stream=False).text())
        asyncio.run(main())
    """,
    "cancelled": """
        async def main():
            task = asyncio.create_task(AsyncEvolinkChat().prompt("hi").text())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            print("re: hi")
        asyncio.run(main())
        asyncio.run(main())
    """,
    "a loop of its own": """
        async def main():
            print(await AsyncEvolinkChat().prompt("hi").text())
        for _ in range(2):
            loop = asyncio.new_event_loop()
            loop.run_until_complete(main())
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
    """,
    "fork": """
        assert EvolinkChat().prompt("before").text() == "re: before"
        child = os.fork()
        text = EvolinkChat().prompt("hi").text()
        status = os.waitpid(child, 0)[1] if child else 0
        print(text, flush=True)
        sys.exit(status)
    """,
    "fork, then async": """
        assert asyncio.run(AsyncEvolinkChat().prompt("before")._force())
        child = os.fork()
        text = asyncio.run(AsyncEvolinkChat().prompt("hi")._force())
        status = os.waitpid(child, 0)[1] if child else 0
        print(text.text_or_raise(), flush=True)
        sys.exit(status)
    """,
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_nothing_is_left_open_at_exit(run, script):
    done = run(script)

    assert (done.stdout, done.stderr, done.returncode) == ("re: hi\nre: hi\n", "", 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_child_uses_connections_of_its_own(monkeypatch):
    with serving(monkeypatch, echo) as server:
        assert EvolinkChat().prompt("before").text() == "re: before"
        with clients._lock:  # Held by another thread, say, at the time of the fork.
            child = os.fork()
        if not child:
            os._exit(EvolinkChat().prompt("in the child").text() != "re: in the child")
        _, status = os.waitpid(child, 0)
        assert EvolinkChat().prompt("after").text() == "re: after"

    assert status == 0
    assert server.connections == 2
