"""SQL queries of llm's log."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import merge
from pathlib import Path

import click

from ...constants import MODEL_ID
from ...llm_folder import BATCHES

# Where token_details holds each count. The first path of each is that of chat completions, which
# EvoLink's and llm's OpenAI models write; then OpenAI's responses, then llm-gemini.
_DETAILS = {
    "cached_tokens": (
        "prompt_tokens_details.cached_tokens",
        "input_tokens_details.cached_tokens",
        "cachedContentTokenCount",
    ),
    "reasoning_tokens": (
        "completion_tokens_details.reasoning_tokens",
        "output_tokens_details.reasoning_tokens",
        "thoughtsTokenCount",
    ),
    "image_tokens": ("prompt_tokens_details.image_tokens",),
}
_COLUMNS = (
    "model",
    "datetime_utc",
    "duration_ms",
    "input_tokens",
    "output_tokens",
    "token_details",
)
_VALID_DETAILS = "iif(json_valid(token_details), token_details, null)"
# Finding the word first is cheaper than parsing each row's JSON.
_SERVER = (
    "case when instr(response_json, '\"server\"') and json_valid(response_json) "
    "then json_extract(response_json, '$.server') end"
)


@dataclass(frozen=True)
class Selection:
    """Which prompts of the log are counted.

    Attributes:
        models: Ids of models in llm; none means all.
        since: The first moment, with a time zone.
        until: The moment after the last, with a time zone.
        utc: Whether days are those of UTC, not of the system's time zone.
    """

    models: Sequence[str] = (MODEL_ID,)
    since: datetime | None = None
    until: datetime | None = None
    utc: bool = False


def log_paths(folder: Path) -> list[Path]:
    """Return the paths of llm's log and of the state files of batches, in llm's folder."""
    log, batches = folder / "logs.db", sorted((folder / BATCHES).glob("*.db"))
    return [log, *batches] if log.exists() or not batches else batches


def read_groups(paths: Sequence[Path], by: str, selection: Selection) -> Iterator[sqlite3.Row]:
    """Yield sums for each label, model and server; groups with the same label are adjacent.

    Sums are floats, None where no prompt has the count. Raises ClickException when a database
    is missing, unreadable or not one of llm. Files without a log are skipped in the folder of
    batches.
    """
    # Each database is closed before the next is opened: there can be more than open files.
    groups = [list(_read(path, by, selection)) for path in paths]
    return merge(*groups, key=lambda group: group["key"] or "")


def _read(path: Path, by: str, selection: Selection) -> Iterator[sqlite3.Row]:
    if not path.exists():
        raise click.ClickException(f"No log database at {path}: run a prompt first")
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        if _lacks_wal_file(path):
            uri += "&immutable=1"
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            columns = _columns(connection)
            if not columns.keys() & {"turns", "responses"}:
                if path.parent.name == BATCHES:
                    return
                raise click.ClickException(f"{path} is not a log database of llm")
            where, parameters = _where(selection)
            is_batch = "evolink_rows" in columns
            parameters["batch"] = path.stem if is_batch else None
            yield from connection.execute(_query(columns, where, by, selection), parameters)
    except (OSError, sqlite3.Error) as error:
        raise click.ClickException(f"{path} cannot be read: {error}") from None


def _lacks_wal_file(path: Path) -> bool:
    """Return whether a database in WAL mode has no -wal file, which reading would create."""
    with path.open("rb") as file:
        versions = file.read(20)[18:]
    return versions == b"\2\2" and not path.with_name(f"{path.name}-wal").exists()


def _columns(connection: sqlite3.Connection) -> dict[str, set[str]]:
    """Return the columns of each table of llm; older versions have fewer tables and columns."""
    found = {}
    for table in ("turns", "responses", "threads", "conversations", "evolink_rows"):
        if columns := {row["name"] for row in connection.execute(f"pragma table_info({table})")}:
            found[table] = columns
    # llm 0.36 has the table and does not write it: a union with an empty table costs time.
    if found.keys() >= {"turns", "responses"}:
        (used,) = connection.execute("select exists (select 1 from responses)").fetchone()
        if not used:
            del found["responses"]
    return found


def _where(selection: Selection) -> tuple[str, dict[str, str | None]]:
    """Return the condition on a prompt, and its parameters."""
    parameters: dict[str, str | None] = {
        f"model{number}": model for number, model in enumerate(selection.models)
    }
    names = ", ".join(f":{name}" for name in parameters)
    conditions = [f"model in ({names})"] if parameters else []
    # Stored times are ISO 8601 in UTC: they compare as text. An unknown time is an empty text.
    for name, value, condition in (
        ("since", selection.since, "datetime_utc >= :since"),
        ("until", selection.until, "datetime_utc > '' and datetime_utc < :until"),
    ):
        if value:
            plain = value.astimezone(UTC).replace(tzinfo=None)
            parameters[name] = plain.isoformat(timespec="seconds")
            conditions.append(condition)
    return " and ".join(conditions) or "true", parameters


def _query(columns: Mapping[str, set[str]], where: str, by: str, selection: Selection) -> str:
    """Return the query of a report; user input is passed as parameters."""
    # Without the fraction: SQLite would round the last half millisecond of a day up to the next.
    zone = "" if selection.utc else ", 'localtime'"
    day = f"date(substr(datetime_utc, 1, 19){zone})"
    name = "null"
    if by == "conversation":
        keys = ["conversation"]
        name = _conversation_name(columns)
    elif by in ("model", "server", "batch"):
        # Also by day, so that SQLite collects the durations of one day at a time.
        keys = [":batch" if by == "batch" else by, day]
    else:
        keys = [day]
    if len(selection.models) != 1 and by != "model":
        keys.append("model")
    if by != "server":
        keys.append("server")
    counts = {detail: _extract(paths, selection.models) for detail, paths in _DETAILS.items()}
    counts |= {column: column for column in ("input_tokens", "output_tokens")}
    # As floats: a sum of integers can overflow, and then SQLite ends the query with an error.
    sums = [f"sum(cast({count} as real)) as {column}" for column, count in counts.items()]
    # A single model is a parameter: it is not read from each row.
    model = ":model0" if len(selection.models) == 1 else "model"
    return f"""
        select {keys[0]} as key, {model} as model, server, {name} as name,
            count(*) as prompts,
            {", ".join(sums)},
            sum(input_tokens is null or output_tokens is null) as unknown_usage,
            json_group_array(duration_ms) filter (where typeof(duration_ms) = 'integer')
                as durations
        from ({_prompts(columns, where)})
        group by {", ".join(keys)} order by {", ".join(keys)}
        """  # noqa: S608


def _conversation_name(columns: Mapping[str, set[str]]) -> str:
    """Return SQL for the name of a conversation, null without one."""
    names = [
        f"(select name from {table} where id = conversation)"  # noqa: S608
        for table in ("threads", "conversations")
        if table in columns
    ]
    return f"coalesce({', '.join([*names, 'null', 'null'])})"


def _extract(paths: Sequence[str], models: Sequence[str]) -> str:
    """Return SQL for the count at the first of the paths that exists.

    EvoLink's models write one shape only: for them no other path is looked up.
    """
    found = [f"json_extract(token_details, '$.{path}')" for path in paths]
    if models and all(model == MODEL_ID or model.startswith("evolink/") for model in models):
        return found[0]
    return f"coalesce({', '.join([*found, 'null'])})"


def _prompts(columns: Mapping[str, set[str]], where: str) -> str:
    """Return the query of all prompts: turns, then older responses that are not among them."""
    tables: list[str] = []
    for table, conversation in (("turns", "thread_id"), ("responses", "conversation_id")):
        if table in columns:
            own = {column: column if column in columns[table] else "null" for column in _COLUMNS}
            own["server"] = "null"
            if "token_details" in columns[table]:
                own["token_details"] = _VALID_DETAILS
            if "response_json" in columns[table]:
                own["server"] = _SERVER
            picked = ", ".join(f"{value} as {column}" for column, value in own.items())
            once = " and id not in (select id from turns)" if tables else ""
            tables.append(
                f"select {conversation} as conversation, {picked} "  # noqa: S608
                f"from {table} where {where}{once}"
            )
    return " union all ".join(tables)
