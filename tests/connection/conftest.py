"""Fixtures of the tests of connections: elapsed time, and no clients at the beginning."""

import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from llm_evolink.connection import clients, retry


@pytest.fixture(autouse=True)
def _no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the clock: a connection breaks 0 s after its request was written, unless later()."""
    monkeypatch.setattr(retry, "time", SimpleNamespace(monotonic=lambda: 0.0))


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let a connection break at least so many seconds after its request was written."""

    def let_pass(seconds: float) -> None:
        clock = SimpleNamespace(monotonic=lambda: time.monotonic() + seconds)
        monkeypatch.setattr(retry, "time", clock)

    return let_pass


@pytest.fixture
def no_clients(environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin without clients: proxies and CA certificates are looked up when one is made."""
    monkeypatch.setattr(clients, "_clients", {})
    yield
    clients._close()
