"""Text from a server, made safe to print and to log."""

from typing import Any

MAX_PAGE_BYTES = 2**20
"""Most of a page that is looked at, and of any other text from a server."""


def clean(text: Any) -> str | None:
    """Return a server's text fit for a terminal, on one line; None for no text.

    Not printable are control characters, and those that turn the direction of text.
    """
    if not isinstance(text, str):
        return None
    text = text[:MAX_PAGE_BYTES]
    if not text.isprintable():
        text = "".join(each if each.isprintable() else " " for each in text)
    return " ".join(text.split()) or None


def replace_surrogates(text: str) -> str:
    """Return the text with U+FFFD for each lone surrogate, which neither prints nor is logged."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
