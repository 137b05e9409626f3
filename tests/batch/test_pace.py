"""The pace of a batch, with a clock of the test's own."""

import asyncio
import random
import sys
from collections import Counter
from heapq import heappop, heappush
from itertools import pairwise
from types import SimpleNamespace

import pytest

from llm_evolink.batch.errors import BatchError
from llm_evolink.batch.pace import Pace, PauseTooLongError
from llm_evolink.batch.rates import Rates
from llm_evolink.batch.results import Tokens
from llm_evolink.extra import install_command


class Clock:
    """A clock that the test sets."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def pace(clock, ceiling=64, max_wait=600.0, jitter=0.0):
    return Pace(ceiling, max_wait, clock, lambda low, high: low + (high - low) * jitter)


def a_round(control, refused=0, retry_after=1.0):
    """Start all requests that may be in flight, refuse the first of them; return how many."""
    started = []
    while control.delay() == 0:
        started.append(control.start())
    for place, time in enumerate(started):
        if place < refused:
            control.refused(time, retry_after)
        else:
            control.answered()
        control.finish()
    return len(started)


def test_in_flight_doubles_each_round_up_to_the_ceiling(clock):
    control = pace(clock)

    assert [a_round(control) for _ in range(6)] == [4, 8, 16, 32, 64, 64]


def test_a_small_ceiling_is_never_passed(clock):
    control = pace(clock, ceiling=3)

    assert [a_round(control) for _ in range(3)] == [3, 3, 3]


def test_a_refusal_halves_once_a_round_then_one_is_added_a_round(clock):
    control = pace(clock)
    while a_round(control) < 32:
        clock.now += 1
    clock.now += 1
    assert a_round(control, refused=20) == 64  # The limit is 32, and all 44 others are answered.
    limit = control.limit
    assert 32 < limit < 34

    clock.now += 1
    sizes = []
    for _ in range(4):
        sizes.append(a_round(control))
        clock.now += 1

    assert [later - earlier for earlier, later in pairwise(sizes)] == [1, 1, 1]


def test_all_requests_pause_until_the_latest_retry_after(clock):
    control = pace(clock)
    first, second = control.start(), control.start()
    control.refused(first, 30.0)
    control.refused(second, 5.0)
    control.finish()

    assert control.delay() == control.pause() == 30.0
    clock.now += 29
    assert control.delay() == 1.0
    clock.now += 1
    assert control.delay() == 0.0
    assert (control.pauses, control.paused) == (1, 30.0)


def test_a_longer_retry_after_extends_the_pause(clock):
    control = pace(clock)
    first, second = control.start(), control.start()
    control.refused(first, 5.0)
    control.refused(second, 30.0)
    control.finish()

    assert control.delay() == 30.0
    assert (control.pauses, control.paused) == (1, 30.0)


def test_a_pause_is_longer_by_up_to_a_tenth(clock):
    control = pace(clock, jitter=1.0)
    control.refused(control.start(), 30.0)

    assert control.pause() == pytest.approx(33.0)


def test_a_long_pause_does_not_freeze_the_limit(clock):
    """The limit falls and rises also when Retry-After is longer than the time between refusals."""
    control = pace(clock)
    while a_round(control) < 16:
        clock.now += 1
    for _ in range(3):
        clock.now += 1
        a_round(control, refused=1, retry_after=60.0)
        lowered = control.limit
        clock.now += 60
        assert a_round(control) > 0
        assert control.limit > lowered


def test_without_retry_after_the_pause_doubles_with_each_refused_round(clock):
    control = pace(clock)
    pauses = []
    for _ in range(8):
        control.refused(control.start(), None)
        control.finish()
        pauses.append(control.pause())
        clock.now += control.pause() + 1

    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    control.answered()
    control.refused(control.start(), None)
    assert control.pause() == 1


def test_a_pause_over_the_limit_ends_the_run(clock):
    control = pace(clock, max_wait=600)
    control.refused(control.start(), 599.0)
    with pytest.raises(
        PauseTooLongError, match="asks to wait 86,400 s, longer than the maximum wait of 600 s"
    ):
        control.refused(control.start(), 86_400.0)


def test_refusals_without_an_answer_end_the_run_after_max_wait(clock):
    control = pace(clock, max_wait=600)
    for _ in range(6):
        control.refused(control.start(), 100.0)
        control.finish()
        clock.now += 100
    with pytest.raises(PauseTooLongError, match="would be longer than the maximum wait of 600 s"):
        control.refused(control.start(), 100.0)


def simulate(rows, ceiling, allowed, window, latency, seed):
    """Ask rows of a server that allows so many requests a window; return refusals and seconds."""
    uniform = random.Random(seed).uniform
    clock = Clock()
    began = clock.now
    control = Pace(ceiling, 600, clock, uniform)
    events: list[tuple[float, int, float, float | None]] = []
    counts: Counter[int] = Counter()
    left, answered, refused, number = rows, 0, 0, 0
    while answered < rows:
        while left and control.delay() == 0:
            left, number = left - 1, number + 1
            started, place = control.start(), int(clock.now / window)
            counts[place] += 1
            if counts[place] > allowed:
                wait = (place + 1) * window - clock.now
                heappush(events, (clock.now + latency * 0.2, number, started, wait))
            else:
                heappush(events, (clock.now + latency * uniform(0.8, 1.2), number, started, None))
        delay = control.delay() if left else None
        if delay and (not events or clock.now + delay < events[0][0]):
            clock.now += delay + 1e-9
            continue
        clock.now, _, started, retry_after = heappop(events)
        if retry_after is None:
            control.answered()
            answered += 1
        else:
            control.refused(started, retry_after)
            refused, left = refused + 1, left + 1
        control.finish()
    return refused, clock.now - began


@pytest.mark.parametrize("seed", range(5))
def test_a_server_of_100_requests_per_2_seconds_refuses_few_and_is_used(seed):
    refused, seconds = simulate(1000, 64, 100, 2.0, 0.2, seed)

    assert refused <= 150
    assert 1000 / seconds >= 0.85 * 50


class Limiter:
    """Records the arguments of AsyncLimiter and of its acquire()."""

    made: list["Limiter"]

    def __init__(self, max_rate, time_period):
        self.max_rate, self.time_period, self.acquired = max_rate, time_period, []
        self.made.append(self)

    async def acquire(self, amount=1):
        assert amount <= self.max_rate
        self.acquired.append(amount)


@pytest.fixture
def limiters(monkeypatch):
    monkeypatch.setattr(Limiter, "made", [], raising=False)
    monkeypatch.setitem(sys.modules, "aiolimiter", SimpleNamespace(AsyncLimiter=Limiter))
    return Limiter.made


def test_rpm_starts_one_request_at_a_time(limiters):
    rates = Rates(600, None)
    asyncio.run(rates.acquire(1000))

    ((limiter),) = limiters
    assert (limiter.max_rate, limiter.time_period, limiter.acquired) == (1, 0.1, [1])


def test_tpm_counts_an_estimate_and_corrects_it(limiters):
    rates = Rates(None, 6000)
    (limiter,) = limiters
    assert (limiter.max_rate, limiter.time_period) == (100, 1.0)

    def acquire(tokens):
        limiter.acquired.clear()
        asyncio.run(rates.acquire(tokens))
        return sum(limiter.acquired)

    assert acquire(250) == 250
    assert limiter.acquired == [100, 100, 50]
    rates.correct(250, Tokens(300, 100))
    assert acquire(10) == 160
    rates.correct(10, Tokens())
    rates.correct(300, Tokens(100, 0))
    assert acquire(50) == 0
    assert acquire(200) == 40


def test_a_request_above_tpm_is_sent_alone(limiters):
    rates = Rates(None, 6000)
    (limiter,) = limiters
    order = []

    async def acquire(tokens):
        await rates.acquire(tokens)
        order.append(tokens)

    async def main():
        await asyncio.gather(acquire(100_000), acquire(1))

    asyncio.run(main())
    assert order == [100_000, 1]
    assert limiter.acquired == [100] * 1000 + [1]


def test_without_rates_the_limiter_is_not_loaded(monkeypatch):
    monkeypatch.setitem(sys.modules, "aiolimiter", None)

    asyncio.run(Rates(None, None).acquire(10))
    with pytest.raises(BatchError) as error:
        Rates(60, None)
    assert error.value.message == f"rpm and tpm need an extra: {install_command('batch')}"


def test_the_installed_limiter_takes_fractions():
    async def main():
        rates = Rates(6_000_000, 6e9)
        for _ in range(3):
            await rates.acquire(250.5)

    pytest.importorskip("aiolimiter")
    asyncio.run(main())
