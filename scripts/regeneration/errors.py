"""The one error of regeneration, and text that is fit for a terminal."""


class RegenerationError(Exception):
    """What stopped a regeneration, in one line for the person who ran it; nothing was written.

    Further arguments are further lines.
    """

    def __str__(self) -> str:
        """Return the lines, fit for a terminal, those after the first indented."""
        return "\n  ".join(printable(line) for line in self.args)


def one_line(problem: object) -> str:
    """Return what a library says of a problem as one line of at most 300 characters."""
    text = " ".join(str(problem).split()) or type(problem).__name__
    return text if len(text) <= 300 else text[:299] + "…"


def printable(line: str) -> str:
    """Return the line, at most 1,000 characters, all that is not to be seen escaped."""
    line = line if len(line) <= 1000 else line[:999] + "…"
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in line
    )
