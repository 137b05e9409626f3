"""Limits the number of values in a server's JSON, and so the memory that it takes decoded."""

from ..errors import IncompleteReplyError

MAX_VALUES = 1_000_000
"""Maximum number of JSON values in a complete reply or an event."""

VALUE_BYTES = 93
"""Maximum memory of a small decoded JSON value and its place in an object or list, in bytes."""


def count_values(content: bytes | str) -> int:
    """Return about how many values, counting names as such, undecoded JSON has."""
    if isinstance(content, bytes):
        return sum(map(content.count, (b",", b":", b"[", b"{")))
    return sum(map(content.count, (",", ":", "[", "{")))


def check_values(count: int) -> None:
    """Raise IncompleteReplyError if there are more than MAX_VALUES values."""
    if count > MAX_VALUES:
        raise IncompleteReplyError(f"it has more than {MAX_VALUES:,} JSON values")
