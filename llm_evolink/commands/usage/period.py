"""Dates and times of the options --since and --until."""

import re
from datetime import UTC, date, datetime, time, timedelta

import click


def period(
    since: str | None, until: str | None, now: datetime, *, utc: bool
) -> tuple[datetime | None, datetime | None]:
    """Return the first moment and the moment after the last. Raises click.UsageError."""
    bounds: list[datetime | None] = []
    for name, text in (("since", since), ("until", until)):
        try:
            bounds.append(moment(text, now, utc=utc, end=name == "until") if text else None)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint=f"'--{name}'") from None
    first, last = bounds
    if first and last and first >= last:
        raise click.UsageError("--since is not before --until")
    return first, last


def moment(text: str, now: datetime, *, utc: bool = False, end: bool = False) -> datetime:
    """Return the moment, in UTC, that a date or a time before now names.

    Args:
        text: A date (2026-11-23, today, yesterday) or a time ago (7d, 24h).
        now: The current time, with a time zone.
        utc: Whether days are those of UTC, not of the system's time zone.
        end: Whether to return the end of the date, not its beginning.

    Raises:
        ValueError: The text is neither.
    """
    try:
        if ago := re.fullmatch(r"([0-9]+)([hd])", text):
            return now - timedelta(hours=int(ago[1]) * {"h": 1, "d": 24}[ago[2]])
        today = now.astimezone(UTC if utc else None).date()
        named = {"today": today, "yesterday": today - timedelta(days=1)}
        day = (named.get(text) or date.fromisoformat(text)) + timedelta(days=end)
        return datetime.combine(day, time(), UTC if utc else None).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is not a date such as 2026-11-23, today or yesterday, nor 7d or 24h"
        ) from None
