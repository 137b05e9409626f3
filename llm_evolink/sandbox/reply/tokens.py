"""Tokens, by a rule that can be checked by hand.

- Every begun 4 bytes of a text, in UTF-8, are one token. A character belongs to the token that its
  last byte is in, so a text has as many pieces as tokens.
- An image is 258 tokens.
- prompt_tokens are those of the text and the images of all messages, each text counted by itself.
- completion_tokens are those of the reply's text, its reasoning and the arguments of its tool
  calls, in all choices.
- cached_tokens is 0: nothing is cached.
"""

from collections.abc import Iterable
from typing import Any

BYTES_PER_TOKEN = 4
TOKENS_PER_IMAGE = 258


def pieces(text: str) -> list[str]:
    """Return the text cut into its tokens."""
    if text.isascii():
        return [text[at : at + BYTES_PER_TOKEN] for at in range(0, len(text), BYTES_PER_TOKEN)]
    cut: list[str] = []
    size = 0
    for character in text:
        size += _size(character)
        if (size - 1) // BYTES_PER_TOKEN == len(cut):
            cut.append(character)
        else:
            cut[-1] += character
    return cut


def count(text: str) -> int:
    """Return how many tokens the text has."""
    return -(-_size(text) // BYTES_PER_TOKEN)


def usage(
    prompt: Iterable[str], images: int, completion: Iterable[str], reasoning: Iterable[str]
) -> dict[str, Any]:
    """Return the usage object of texts in and out; reasoning is part of the output."""
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
    # JSON may hold half of a surrogate pair, which strict UTF-8 has no bytes for.
    return len(text.encode("utf-8", "surrogatepass"))
