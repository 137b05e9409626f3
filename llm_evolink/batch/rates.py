"""Limits of requests and tokens a minute, as a caller sets them."""

import asyncio
import math

from ..extra import install_command
from .errors import BatchError
from .results import Tokens

FIRST_ESTIMATE = 256.0
"""Output tokens expected of an answer until one has been received."""

CHARACTERS_PER_TOKEN = 4
"""Characters of a prompt that are counted as one token before the server reports the number."""


class Rates:
    """Keeps a batch below `rpm` requests and `tpm` tokens a minute. Needs aiolimiter."""

    def __init__(self, rpm: float | None, tpm: float | None) -> None:
        """Take None or 0 as no limit.

        Raises BatchError for a negative rate, and for any if aiolimiter is not installed.
        """
        for name, rate in (("rpm", rpm), ("tpm", tpm)):
            if rate is not None and not 0 <= rate < math.inf:  # True for nan as well.
                raise BatchError(f"{name} must be positive and finite; 0 is no limit")
        self._answers = 0
        self._output_tokens = 0
        self._requests = self._tokens = None
        if not rpm and not tpm:
            return
        try:
            from aiolimiter import AsyncLimiter
        except ModuleNotFoundError:
            raise BatchError(f"rpm and tpm need an extra: {install_command('batch')}") from None
        if rpm:
            # AsyncLimiter(rpm, 60) would let twice as many start in the first minute.
            self._requests = AsyncLimiter(1, 60 / rpm)
        if tpm:
            self._portion = max(1.0, tpm / 60)
            self._tokens = AsyncLimiter(self._portion, self._portion * 60 / tpm)
            self._turn = asyncio.Lock()
            # Tokens that finished requests used beyond their estimates; negative for fewer.
            self._owed = 0.0

    def estimate(self, prompt: str) -> float:
        """Return the tokens that a prompt and its answer are expected to use."""
        output = self._output_tokens / self._answers if self._answers else FIRST_ESTIMATE
        return len(prompt) / CHARACTERS_PER_TOKEN + output

    async def acquire(self, tokens: float) -> None:
        """Wait until a request of about so many tokens may be sent."""
        if self._tokens:
            # In portions, because AsyncLimiter refuses an amount above its rate.
            async with self._turn:
                left = max(0.0, tokens + self._owed)
                self._owed = min(0.0, tokens + self._owed)
                while left > 0:
                    await self._tokens.acquire(min(left, self._portion))
                    left -= self._portion
        if self._requests:
            await self._requests.acquire()

    def correct(self, estimate: float, used: Tokens) -> None:
        """Count the tokens that a request has used in place of its estimate."""
        self._answers += 1
        self._output_tokens += used.output
        if self._tokens:
            self._owed += used.input + used.output - estimate
