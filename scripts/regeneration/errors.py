"""The one error of regeneration."""


class RegenerationError(Exception):
    """What stopped a regeneration, in one line for the person who ran it; nothing was written."""


def one_line(problem: object) -> str:
    """Return what a library says of a problem as one line of at most 300 characters."""
    text = " ".join(str(problem).split()) or type(problem).__name__
    return text if len(text) <= 300 else text[:299] + "…"
