"""Text from a server, made safe to print and to log."""

import re
from typing import Any

MAX_PAGE_BYTES = 2**20
"""Maximum number of bytes of a body, or of characters of any other text, that is examined."""


def clean(text: Any) -> str | None:
    """Return the text on one line without unprintable characters; None for anything but text.

    Unprintable are control characters and those that change the direction of text.
    """
    if not isinstance(text, str):
        return None
    text = shorten(text)
    if not text.isprintable():
        text = "".join(each if each.isprintable() else " " for each in text)
    return " ".join(text.split()) or None


def shorten(text: str) -> str:
    """Return at most MAX_PAGE_BYTES characters, without a word that the limit cuts in two.

    A part of a key would not be recognized as the key.
    """
    if len(text) <= MAX_PAGE_BYTES:
        return text
    start, end = text[: MAX_PAGE_BYTES - 4096], text[MAX_PAGE_BYTES - 4096 : MAX_PAGE_BYTES]
    return start + re.sub(r"\S+\Z", "", end)


def replace_surrogates(text: str) -> str:
    """Return the text with U+FFFD for each lone surrogate, which cannot be printed or logged."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
