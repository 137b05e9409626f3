"""A fixture of the tests of the generated client: its sync and its async functions."""

import pytest

from tests.four_ways import ASYNC_CALLS, SYNC_CALLS, Calls


@pytest.fixture(params=[SYNC_CALLS, ASYNC_CALLS], ids=["sync", "async"])
def calls(request: pytest.FixtureRequest) -> Calls:
    value: Calls = request.param
    return value
