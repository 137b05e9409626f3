"""Reads what a server reports of an error, in the many forms that gateways use."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_MAX_DEPTH = 20

# Members, in lower case, that can hold the error or a more exact one, in order of preference.
_NESTED = ("error", "errors", "detail", "metadata", "promptfeedback", "prompt_feedback", "data")
# Members, in lower case, that can hold the message, in order of preference.
_MESSAGES = (
    "raw",
    "message",
    "msg",
    "error_message",
    "error_description",
    "reason",
    "detail",
    "error",
    "blockreasonmessage",
    "title",
)
_decode = json.JSONDecoder().raw_decode


class ErrorReport:
    """The facts of an error, under the names of the document's ErrorResponse; None for unknown."""

    message: str | None = None
    code: str | None = None
    type: str | None = None
    param: str | None = None
    fallback_suggestion: str | None = None

    @property
    def status_code(self) -> int | None:
        """HTTP status in the code, 400 to 599; None for any other code."""
        return int(self.code) if self.code and re.fullmatch("[45][0-9][0-9]", self.code) else None


def read_error(data: Any) -> ErrorReport:
    """Return the report of the innermost error in decoded JSON; its facts replace the outer ones.

    JSON inside a message is an inner error. Where there is a message, text under `error` or
    `detail` is only a label and is ignored.
    """
    report = ErrorReport()
    report.message = _read(data, report, _MAX_DEPTH)
    return report


def is_error(data: Any) -> bool:
    """Return whether decoded JSON without choices and usage reports an error."""
    if isinstance(data, list):
        return any(map(is_error, data))
    if not isinstance(data, dict):
        return False
    members = _lower_case(data)
    if members.get("object") == "error" or members.get("success") is False:
        return True
    if any(members.get(name) is not None for name in ("error", "errors")):
        return True
    if any(members.get(name) for name in ("detail", "promptfeedback", "prompt_feedback")):
        return True
    code = members.get("code")
    if code is not None and str(code).lower() not in ("", "0", "200", "ok", "success"):
        return True
    return code is None and isinstance(members.get("message"), str) and bool(members["message"])


def _read(data: Any, report: ErrorReport, depth: int) -> str | None:
    """Return the message and note the facts, the innermost first."""
    if not depth:
        return None
    if isinstance(data, str):
        return _read_text(data, report, depth)
    if isinstance(data, list):
        found = (_read(item, report, depth - 1) for item in data[:20])
        return next(filter(None, found), None)
    if not isinstance(data, dict):
        return None
    members = _lower_case(data)
    message = None
    for name in _NESTED:
        if not message and isinstance(members.get(name), (dict, list)):
            message = _read(members[name], report, depth - 1)
    for name in _MESSAGES:
        if not message and isinstance(members.get(name), str):
            message = _read_text(members[name], report, depth)
    if not message:
        blocked = members.get("blockreason") or members.get("block_reason")
        message = f"The prompt was blocked: {blocked}" if isinstance(blocked, str) else None
    _note(members, report)
    return message


def _read_text(text: str, report: ErrorReport, depth: int) -> str | None:
    """Return the message in JSON inside the text, else the text; None for blank text."""
    for bracket in "{[":
        start = text.find(bracket)
        if start >= 0:
            try:
                inner, _ = _decode(text, start)
            except (ValueError, RecursionError):
                continue
            if message := _read(inner, report, depth - 1):
                return message
    return text if text.strip() else None


def _note(members: Mapping[str, Any], report: ErrorReport) -> None:
    code = members.get("code")
    if isinstance(code, (str, int)) and not isinstance(code, bool):
        report.code = report.code or str(code)
    for name in ("type", "param", "fallback_suggestion"):
        value = members.get(name)
        if isinstance(value, str) and not getattr(report, name):
            setattr(report, name, value)


def _lower_case(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members by name in lower case; a name that is in lower case already wins."""
    return {**{str(name).lower(): value for name, value in data.items()}, **data}
