"""Stored results of earlier runs: whether one is reused, and its Result."""

from typing import Any, TypeGuard

from .requests import Request
from .results import CUT, NOT_PARSED, Result, parse
from .state import Record
from .table import Row


def is_answered(record: Record | None, request: Request) -> TypeGuard[Record]:
    """Return whether the record holds an answer to this request, complete or cut."""
    return (
        record is not None and record.request_hash == request.hash and record.failure in (None, CUT)
    )


def stored_result(row: Row, record: Record, schema: dict[str, Any] | None) -> Result:
    """Return the stored result of a row."""
    result = Result(row.position, row.id, None, record.text, record.failure, record.error)
    result.tokens, result.turn_id, result.tries = record.tokens, record.turn_id, record.tries
    result.reused = True
    if record.failure is None:
        try:
            result.answer = parse(record.text or "", schema)
        except ValueError as error:
            result.failure, result.error = NOT_PARSED, str(error)
    return result
