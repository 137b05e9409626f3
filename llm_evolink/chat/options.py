"""What can be set with `-o`."""

import json
import re
from typing import Any, Literal

import llm
from pydantic import Field, field_validator


class Options(llm.Options):
    """The options of the model; each is sent only when set, within the document's bounds."""

    temperature: float | None = Field(
        None, ge=0, le=2, description="Randomness of the answer, 0 (least) to 2"
    )
    max_tokens: int | None = Field(
        None, ge=1, le=65536, description="Most tokens to generate, reasoning included, 1 to 65536"
    )
    top_p: float | None = Field(
        None, ge=0, le=1, description="Share of probability to draw tokens from, 0 to 1"
    )
    frequency_penalty: float | None = Field(
        None, ge=-2, le=2, description="Penalty on tokens by how often they came, -2 to 2"
    )
    presence_penalty: float | None = Field(
        None, ge=-2, le=2, description="Penalty on tokens that came at all, -2 to 2"
    )
    stop: list | str | None = Field(  # type: ignore[type-arg]  # see check_stop
        None, description="Text at which to stop, or a JSON list of several"
    )
    seed: int | None = Field(
        None, ge=0, le=2147483647, description="Seed of the sampling, 0 to 2147483647"
    )
    reasoning_effort: Literal["minimal", "low", "medium", "high"] | None = Field(
        None, description="How much to think first: minimal, low, medium or high"
    )
    logprobs: bool | None = Field(
        None, description="Log the log probability of each token in response_json"
    )
    top_logprobs: int | None = Field(
        None, ge=0, le=20, description="With logprobs, likely tokens to list at each place, 0 to 20"
    )
    json_object: bool | None = Field(None, description="Answer with a JSON object")

    @field_validator("stop", mode="before")
    @classmethod
    def check_stop(cls, stop: Any) -> Any:
        """Take a JSON list as a list. Raises ValueError unless it is text or a list of texts.

        Text in brackets, [END] say, is text: a JSON list of texts begins with a quotation mark.
        Checked here: llm's printer of option errors fails on one that lies inside a list.
        """
        if isinstance(stop, str) and re.match(r'\s*\[\s*("|\]\s*$)', stop):
            try:
                stop = json.loads(stop)
            except (ValueError, RecursionError):
                raise ValueError('begins with [" and is not a JSON list of texts') from None
        if stop == []:
            raise ValueError("a list without a text")
        texts = stop if isinstance(stop, list) else [stop]
        if stop is not None and not all(isinstance(text, str) for text in texts):
            raise ValueError("not a text or a list of texts")
        return stop
