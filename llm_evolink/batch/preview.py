"""Preview of a run: how many rows it would ask, and the first request."""

import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from .errors import BatchError
from .requests import Request, RequestError, Requests
from .reuse import is_answered
from .state import Reader
from .table import Row


def preview(rows: Iterable[Row], requests: Requests, state: Path, *, again: bool) -> Iterator[str]:
    """Yield a line of counts, and the first request as JSON. Nothing is written.

    Raises BatchError for a row that has no valid request.
    """
    count, reused, first = 0, 0, None
    with closing(Reader(state, read_only=True)) as reader:
        for row in rows:
            count += 1
            try:
                request = requests.build(row.cells)
            except RequestError as error:
                raise BatchError(f"row {row.id}: {error}") from None
            if not again and is_answered(reader.find(row.id), request):
                reused += 1
            elif first is None:
                first = row.id, request
    yield f"{count:,} rows, {count - reused:,} to ask, {reused:,} answered already"
    if first:
        yield json.dumps(_shown(requests, *first), indent=2, ensure_ascii=False)


def _shown(requests: Requests, row_id: str, request: Request) -> dict[str, Any]:
    """Return the request of a row, without what is not set."""
    template = requests.template
    fields = {
        "id": row_id,
        "model": template.model_id,
        "system": request.system,
        "system_fragments": template.system_fragments,
        "fragments": template.fragments,
        "prompt": request.prompt,
        "attachments": [each.path or each.url for each in request.attachments],
        "schema": template.schema,
        "options": template.options,
    }
    return {name: value for name, value in fields.items() if value}
