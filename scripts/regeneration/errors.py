"""The one error of regeneration."""


class RegenerationError(Exception):
    """What stopped a regeneration, in one line for the person who ran it; nothing was written."""
