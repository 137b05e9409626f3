"""Width of text in a terminal."""

import unicodedata


def cells(text: str) -> int:
    """Return the maximum number of cells of the text in a terminal."""
    return len(text) + sum(unicodedata.east_asian_width(character) in "WF" for character in text)


def padded(text: str, width: int) -> str:
    """Return the text with spaces after it, up to this number of cells."""
    return text + " " * (width - cells(text))
