from types import SimpleNamespace

import pytest

from llm_evolink.connection import retry


@pytest.fixture(autouse=True)
def _no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a connection break at once after its request was written, however busy the machine is."""
    monkeypatch.setattr(retry, "time", SimpleNamespace(monotonic=lambda: 0.0))
