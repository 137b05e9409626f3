"""Token counts, by a rule that can be checked by hand.

- A text has one token for every 4 bytes of its UTF-8, rounded up. A character belongs to the token
  that holds its last byte, so a text splits into as many parts as it has tokens.
- An image is 1,120 tokens, as `llm evolink count` counts it.
- prompt_tokens counts the text and the images of all messages, each text by itself.
- completion_tokens counts the text, the reasoning and the arguments of the tool calls of all
  choices.
- cached_tokens is 0: nothing is cached.
"""

from collections.abc import Iterable
from typing import Any

from ...constants import BYTES_PER_TOKEN, TOKENS_PER_IMAGE


def split(text: str) -> list[str]:
    """Return the text split into its tokens."""
    if text.isascii():
        return [text[at : at + BYTES_PER_TOKEN] for at in range(0, len(text), BYTES_PER_TOKEN)]
    tokens: list[str] = []
    size = 0
    for character in text:
        size += _size(character)
        if (size - 1) // BYTES_PER_TOKEN == len(tokens):
            tokens.append(character)
        else:
            tokens[-1] += character
    return tokens


def count(text: str) -> int:
    """Return the number of tokens in the text."""
    return -(-_size(text) // BYTES_PER_TOKEN)


def usage(
    prompt: Iterable[str], images: int, completion: Iterable[str], reasoning: Iterable[str]
) -> dict[str, Any]:
    """Return the usage object for these texts and this number of images.

    Reasoning is part of the completion tokens.
    """
    prompt_text = sum(map(count, prompt))
    image_tokens = images * TOKENS_PER_IMAGE
    text_tokens = sum(map(count, completion))
    reasoning_tokens = sum(map(count, reasoning))
    prompt_tokens = prompt_text + image_tokens
    completion_tokens = text_tokens + reasoning_tokens
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {
            "cached_tokens": 0,
            "text_tokens": prompt_text,
            "audio_tokens": 0,
            "image_tokens": image_tokens,
        },
        "completion_tokens_details": {
            "text_tokens": text_tokens,
            "audio_tokens": 0,
            "reasoning_tokens": reasoning_tokens,
        },
        "input_tokens": 0,
        "output_tokens": 0,
        "input_tokens_details": None,
    }


def _size(text: str) -> int:
    # JSON can hold an unpaired surrogate, which strict UTF-8 cannot encode.
    return len(text.encode("utf-8", "surrogatepass"))
