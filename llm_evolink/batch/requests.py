"""Builds the request of a row: texts from templates, attachments, and a hash of everything."""

import json
import re
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from mimetypes import guess_type
from pathlib import Path
from stat import S_ISREG
from typing import Any, NamedTuple

import llm

from ..connection.settings import other_server
from .errors import BatchError
from .formats import Cells
from .results import check_schema

_LATIN = "_a-zA-ZÀ-ÖØ-öø-ɏ"
NAME = rf"[{_LATIN}][{_LATIN}0-9]*|[^\W\d]\w*"
"""Pattern of a name after $.

A name that begins with a Latin letter ends before a letter of another script: "$text的" is $text.
"""

_Render = Callable[[Mapping[str, str]], str]
"""Returns the text of a template for the cells of a row."""


class _Template(string.Template):
    """Template with ${any text} and with names in any script."""

    idpattern = NAME
    braceidpattern = "[^}]+"
    flags = re.NOFLAG


class Request(NamedTuple):
    """The request of one row.

    Attributes:
        hash: Hexadecimal digest of everything that is sent, and of a server other than EvoLink's.
    """

    prompt: str
    system: str | None
    attachments: list[llm.Attachment]
    hash: str


class RequestError(Exception):
    """A row has no valid request: its image does not exist, for example."""


@dataclass
class RequestTemplate:
    """Template of the request of each row: texts over the columns, model and options.

    Attributes:
        prompt: Template of the prompt, such as "Sentiment of this review: $text".
        system: Template of the system prompt.
        attachments: Template of the path or URL, and media type or None, of each attachment.
        input: Template of the text for `$input` in the prompt. Without it, `$input` is a column.
        defaults: Texts for columns that the table does not have.
    """

    model_id: str
    prompt: str | None = None
    system: str | None = None
    attachments: list[tuple[str, str | None]] = field(default_factory=list)
    fragments: list[str] = field(default_factory=list)
    system_fragments: list[str] = field(default_factory=list)
    schema: dict[str, Any] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    input: str | None = None
    defaults: dict[str, str] = field(default_factory=dict)

    def identity(self) -> bytes:
        """Return bytes that are the same for the same templates, model, options and schema."""
        return json.dumps(vars(self), default=str).encode()


class Requests:
    """Builds the request of each row.

    Attributes:
        columns: Names of the columns that the templates use.
    """

    def __init__(self, template: RequestTemplate, server: str | None = None) -> None:
        """Compile the templates. Raises BatchError for one that is not valid.

        `server` is that of server_of(model).
        """
        if not template.prompt and not template.attachments and not template.fragments:
            raise BatchError("Give a prompt, such as 'Sentiment of this review: $text'")
        if template.schema is not None:
            check_schema(template.schema)
        self.template = template
        used: set[str] = set()
        self._prompt = _compiled(template.prompt, "The prompt", used)
        self._system = _compiled(template.system, "The system prompt", used)
        self._attachments = [
            (_compiled(path, "The attachment", used), media_type)
            for path, media_type in template.attachments
        ]
        if template.input is not None:
            used.discard("input")
        self._input = _compiled(template.input, "The prompt", used)
        self._used = used
        self.columns = used - template.defaults.keys()
        constant: list[Any] = [template.model_id, template.fragments, template.system_fragments]
        constant += [template.schema, sorted(template.options.items())]
        constant += [server] if server else []
        self._hash = blake2b(json.dumps(constant, default=str).encode(), digest_size=16)

    def refuse_constant(self, columns: Sequence[str], advice: str = "") -> None:
        """Raise BatchError if no template uses one of the table's columns.

        `advice` is what the message adds; `{}` in it is a placeholder of a column.
        """
        if columns and self._used.isdisjoint(columns):
            name = columns[-1]
            placeholder = f"${name}" if re.fullmatch(NAME, name) else f"${{{name}}}"
            raise BatchError(
                f"The prompt uses no column ({', '.join(columns)}), so every row would be asked "
                f"the same: use one, such as {placeholder}{advice.format(placeholder)}"
            )

    def build(self, cells: Cells) -> Request:
        """Return the request of a row. Raises RequestError for an unreadable attachment."""
        values: Mapping[str, str] = (
            {**self.template.defaults, **cells} if self.template.defaults else cells
        )
        if self._input is not None:
            values = {**values, "input": self._input(values)}
        prompt = self._prompt(values) if self._prompt else ""
        system = self._system(values) if self._system else None
        digest = self._hash.copy()
        text = f"{len(prompt)} {len(system or '')} {prompt}{system or ''}"
        digest.update(text.encode("utf-8", "surrogatepass"))
        attachments = [
            _attachment(template(values), media_type)
            for template, media_type in self._attachments
            if template
        ]
        for attachment in attachments:
            digest.update(f"{attachment.type}:{_content_id(attachment)}".encode())
        return Request(prompt, system, attachments, digest.hexdigest())


def server_of(model: Any) -> str | None:
    """Return the URL of the model's server, None for EvoLink's own and models of other plugins.

    Raises InvalidRequestError for an EVOLINK_BASE_URL that cannot be used.
    """
    is_ours = type(model).__module__ == __name__.partition(".")[0]
    return other_server() if is_ours else None


def _compiled(text: str | None, what: str, used: set[str]) -> _Render | None:
    """Return what renders the template, and add the names it uses. Raises BatchError.

    Formatting with % takes a quarter of the time of Template.substitute().
    """
    if text is None:
        return None
    template = _Template(text)
    names: list[str] = []
    try:
        template.substitute(dict.fromkeys(template.get_identifiers(), ""))
    except ValueError as error:
        reason = str(error).removeprefix("Invalid placeholder in string: ")
        raise BatchError(f"{what} has a $ without a column ({reason}); write $$ for $") from None

    def placeholder(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        names.append((match["named"] or match["braced"]).replace("%%", "%"))
        return "%s"

    text_format = _Template.pattern.sub(placeholder, text.replace("%", "%%"))
    used.update(names)
    return lambda values: text_format % tuple([values[name] for name in names])


def _attachment(value: str, media_type: str | None) -> llm.Attachment:
    """Return the attachment of a path or URL. Raises RequestError for an unreadable file."""
    if "://" in value or value.startswith("data:"):
        # Without a type, llm would send a request to the URL for it, for each row.
        found = media_type or guess_type(value.partition("?")[0])[0] or "image/jpeg"
        return llm.Attachment(type=found, url=value)
    path = Path(value)
    shown = repr(value if len(value) < 100 else f"{value[:99]}…")
    try:
        if problem := _file_problem(path):
            raise RequestError(f"The attachment {shown} {problem}")
        attachment = llm.Attachment(type=media_type, path=str(path.resolve()))
        attachment.type = attachment.resolve_type()  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise RequestError(f"The attachment {shown} cannot be read: {reason}") from None
    return attachment


def _file_problem(path: Path) -> str | None:
    """Return why there is nothing to send, None if there is. Raises OSError and ValueError."""
    try:
        status = path.stat()  # Path.is_file() hides errors from Python 3.14 on.
    except (FileNotFoundError, NotADirectoryError):
        return "is not a file"
    if not S_ISREG(status.st_mode):
        return "is not a file"
    return None if status.st_size else "is empty"


def _content_id(attachment: llm.Attachment) -> str:
    try:
        return str(attachment.id())  # type: ignore[no-untyped-call]
    except OSError as error:
        raise RequestError(f"{attachment.path} cannot be read: {error.strerror}") from None
