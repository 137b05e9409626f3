"""What the plugin's tests share: each way to call the model, a server that follows a script."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests import wire
from tests.llm_evolink import ways


@pytest.fixture(params=ways.WAYS, ids=ways.way_id)
def way(request: pytest.FixtureRequest) -> ways.Way:
    """Each way to call the model."""
    return request.param


@pytest.fixture
def scripted(
    environment: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., wire.Server]]:
    """Serve these replies in turn; see ways.scripted."""
    with ExitStack() as stack:

        def start(*replies: dict[str, Any]) -> wire.Server:
            server = stack.enter_context(ways.scripted(*replies))
            monkeypatch.setenv("EVOLINK_BASE_URL", server.url)
            return server

        yield start
