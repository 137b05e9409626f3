"""The one error of regeneration, and text that is fit for a terminal."""


class RegenerationError(Exception):
    """What stopped a regeneration, in one line for the person who ran it; nothing was written.

    Further arguments are further lines.
    """

    def __str__(self) -> str:
        """Return the lines, those after the first indented."""
        return "\n  ".join(self.args)


def one_line(problem: object) -> str:
    """Return what a library says of a problem as one line of at most 300 characters."""
    text = " ".join(str(problem).split()) or type(problem).__name__
    return text if len(text) <= 300 else text[:299] + "…"


def printable(text: str) -> str:
    """Return the text with all that a terminal could obey, or not show, escaped; lines stay."""
    return "".join(
        character if character.isprintable() or character == "\n" else ascii(character)[1:-1]
        for character in text
    )
