"""SQL queries of llm's log."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import click

from ...constants import MODEL_ID

# Where token_details holds each count. The first path of each is the shape of chat completions,
# which we and llm's OpenAI models write; then OpenAI's responses, then llm-gemini.
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


# The database


class MalformedError(Exception):
    """There are token details that are not JSON."""


def read_groups(
    path: Path,
    by: str,
    models: Sequence[str],
    since: datetime | None,
    until: datetime | None,
    utc: bool,
    checked: bool,
) -> Iterator[sqlite3.Row]:
    """Yield sums by day and model, or conversation and model; those of one row together."""
    if not path.exists():
        raise click.ClickException(f"No log database at {path}: run a prompt first")
    try:
        address = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            columns = _columns(connection)
            if not columns.keys() & {"turns", "responses"}:
                raise click.ClickException(f"{path} is not a log database of llm")
            where, parameters = _where(models, since, until)
            query = _query(columns, where, by, models, utc, checked)
            yield from connection.execute(query, parameters)
    except sqlite3.Error as error:
        if not checked and "malformed JSON" in str(error):
            raise MalformedError from None
        raise click.ClickException(f"{path} cannot be read: {error}") from None


def _columns(connection: sqlite3.Connection) -> dict[str, set[str]]:
    """Return the columns of each table of llm's; older versions of llm had fewer of both."""
    found = {}
    for table in ("turns", "responses", "threads", "conversations"):
        if columns := {row["name"] for row in connection.execute(f"pragma table_info({table})")}:
            found[table] = columns
    # Today's llm has the table and does not write it: a union with nothing would cost time.
    if found.keys() >= {"turns", "responses"}:
        (used,) = connection.execute("select exists (select 1 from responses)").fetchone()
        if not used:
            del found["responses"]
    return found


def _where(
    models: Sequence[str], since: datetime | None, until: datetime | None
) -> tuple[str, dict[str, str]]:
    """Return the condition on a prompt, and its parameters."""
    parameters = {f"model{number}": model for number, model in enumerate(models)}
    conditions = [f"model in ({', '.join(f':{name}' for name in parameters)})"] if models else []
    # Stored times are ISO 8601 in UTC: they compare as text. An unknown time is an empty text.
    for name, value, condition in (
        ("since", since, "datetime_utc >= :since"),
        ("until", until, "datetime_utc > '' and datetime_utc < :until"),
    ):
        if value:
            plain = value.astimezone(UTC).replace(tzinfo=None)
            parameters[name] = plain.isoformat(timespec="seconds")
            conditions.append(condition)
    return " and ".join(conditions) or "true", parameters


def _query(
    columns: Mapping[str, set[str]],
    where: str,
    by: str,
    models: Sequence[str],
    utc: bool,
    checked: bool,
) -> str:
    """Return the one query of a report. Nothing of the user's is in it but as a parameter."""
    # Without the fraction: SQLite would round the last half millisecond of a day up to the next.
    zone = "" if utc else ", 'localtime'"
    day = f"date(substr(datetime_utc, 1, 19){zone})"
    name = "null"
    if by == "conversation":
        keys = ["conversation"]
        names = [
            f"(select name from {table} where id = conversation)"  # noqa: S608
            for table in ("threads", "conversations")
            if table in columns
        ]
        name = f"coalesce({', '.join([*names, 'null', 'null'])})"
    elif by == "model":
        # By day too: what SQLite collects for a group at a time stays small.
        keys = ["model", day]
    else:
        keys = [day]
    if len(models) != 1 and by != "model":
        keys.append("model")
    found = {detail: _extract(paths, models) for detail, paths in _DETAILS.items()}
    check = " filter (where json_valid(token_details))" if checked else ""
    details = [f"sum({count}){check} as {detail}" for detail, count in found.items()]
    # One that is known is not read from each row.
    model = ":model0" if len(models) == 1 else "model"
    return f"""
        select {keys[0]} as key, {model} as model, {name} as name,
            count(*) as prompts,
            sum(input_tokens) as input_tokens,
            sum(output_tokens) as output_tokens,
            {", ".join(details)},
            sum(input_tokens is null or output_tokens is null) as unknown_usage,
            json_group_array(duration_ms) filter (where typeof(duration_ms) = 'integer')
                as durations
        from ({_prompts(columns, where)})
        group by {", ".join(keys)} order by {", ".join(keys)}
        """  # noqa: S608


def _extract(paths: Sequence[str], models: Sequence[str]) -> str:
    """Return the count at the first path there is. Our own prompts have but one shape: faster."""
    found = [f"json_extract(token_details, '$.{path}')" for path in paths]
    return found[0] if tuple(models) == (MODEL_ID,) else f"coalesce({', '.join([*found, 'null'])})"


def _prompts(columns: Mapping[str, set[str]], where: str) -> str:
    """Return the query of all prompts: the turns, then older responses that are not among them."""
    tables: list[str] = []
    for table, conversation in (("turns", "thread_id"), ("responses", "conversation_id")):
        if table in columns:
            picked = [
                name if name in columns[table] else f"null as {name}"
                for name in (
                    "model",
                    "datetime_utc",
                    "duration_ms",
                    "input_tokens",
                    "output_tokens",
                    "token_details",
                )
            ]
            once = " and id not in (select id from turns)" if tables else ""
            tables.append(
                f"select {conversation} as conversation, {', '.join(picked)} "  # noqa: S608
                f"from {table} where {where}{once}"
            )
    return " union all ".join(tables)
