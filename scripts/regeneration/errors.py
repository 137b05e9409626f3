"""The error that stops a regeneration, and text that is safe to print on a terminal."""


class RegenerationError(Exception):
    """The reason why nothing was written: one line for each argument."""

    def __str__(self) -> str:
        """Return the printable lines; those after the first are indented."""
        return "\n  ".join(printable(line) for line in self.args)


def one_line(problem: object) -> str:
    """Return a library's message on one line, cut to 300 characters."""
    text = " ".join(str(problem).split()) or type(problem).__name__
    return text if len(text) <= 300 else text[:299] + "…"


def printable(line: str) -> str:
    """Return the line, cut to 1,000 characters, with unprintable characters escaped."""
    line = line if len(line) <= 1000 else line[:999] + "…"
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in line
    )
