"""`llm evolink count`: an estimate of a prompt's input tokens and their cost, offline."""

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import llm

from ..constants import BYTES_PER_TOKEN, MODEL_ID, TOKENS_PER_IMAGE
from ..llm_folder import log_path, user_folder
from .usage import prices

METHOD = (
    f"An estimate: {BYTES_PER_TOKEN} bytes of UTF-8 are counted as a token, an image of any size "
    f"as {TOKENS_PER_IMAGE:,} tokens, Google's figure for Gemini 3; the server can count "
    "differently"
)


@dataclass(frozen=True)
class Estimate:
    """Estimated input tokens of a prompt.

    Attributes:
        input_tokens: Tokens of the texts and images.
        text_tokens: Tokens of the texts.
        image_tokens: Tokens of the images.
        cost: Cost of the input tokens, None without a price.
    """

    input_tokens: int
    text_tokens: int
    image_tokens: int
    cost: float | None


def estimate(texts: Iterable[str], images: int, price: prices.Price | None) -> Estimate:
    """Return the estimate for the texts, each counted by itself, and this number of images."""
    text_tokens = sum(
        -(-len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN) for text in texts
    )
    image_tokens = images * TOKENS_PER_IMAGE
    total = text_tokens + image_tokens
    cost = round(total * price["in"] / 1_000_000, 9) if price else None
    return Estimate(total, text_tokens, image_tokens, cost)


@click.command()
@click.argument("prompt", required=False)
@click.option("-s", "--system", help="System prompt.")
@click.option(
    "-f", "--fragment", "fragments", multiple=True, help="Fragment: file, URL, alias or hash."
)
@click.option(
    "-a", "--attachment", "attachments", multiple=True, help="Image: path or URL, or - for stdin."
)
@click.option(
    "-m", "--model", default=MODEL_ID, show_default=True, help="Model whose price to use."
)
@click.option("--json", "json_", is_flag=True, help="Output as JSON.")
def count(
    prompt: str | None,
    system: str | None,
    fragments: tuple[str, ...],
    attachments: tuple[str, ...],
    model: str,
    json_: bool,
) -> None:
    """Estimate the input tokens of a prompt, and what they cost.

    -s, -f and -a are those of `llm prompt`; an image that a prompt would refuse is an
    error here too. Nothing is sent to EvoLink: 4 bytes of text are counted as a token,
    and an image of any size as 1,120 tokens, which is Google's approximate figure for
    Gemini 3. The cost uses your price, from evolink-prices.json in the folder of
    `llm logs path`.
    """
    for attachment in attachments:
        _check_image(attachment)
    texts = [
        text for text in (system, *_fragments(fragments), _prompt(prompt, attachments)) if text
    ]
    if not texts and not attachments:
        raise click.ClickException("There is nothing to count: give a prompt, -s, -f or -a")
    stored = prices.read_prices(user_folder() / prices.FILE_NAME)
    model_id = _model_id(model)
    found = estimate(texts, len(attachments), prices.pricing(stored, {})(model_id))
    if json_:
        click.echo(json.dumps({"model": model_id, **asdict(found), "method": METHOD}, indent=2))
        return
    cost = "" if found.cost is None else f", cost about {found.cost:.6f}"
    click.echo(f"about {found.input_tokens:,} input tokens{cost}")
    click.echo(METHOD, err=True)


def _check_image(attachment: str) -> None:
    """Raise ClickException for an attachment that a prompt would refuse. A URL is not fetched."""
    from ..chat.images import image_part

    if attachment == "-":
        image_part(llm.Attachment(content=sys.stdin.buffer.read()))
    elif "://" in attachment:
        image_part(llm.Attachment(url=attachment))
    elif Path(attachment).is_file():
        image_part(llm.Attachment(path=attachment))
    else:
        raise click.ClickException(f"There is no file {attachment}")


def _prompt(prompt: str | None, attachments: tuple[str, ...]) -> str:
    """Return the prompt with standard input before it, as llm sends both."""
    piped = ""
    if not sys.stdin.isatty() and "-" not in attachments:
        piped = sys.stdin.read()
    return " ".join(filter(None, (piped, prompt)))


def _fragments(fragments: tuple[str, ...]) -> list[str]:
    """Return the texts of the fragments, which llm finds. Raises ClickException."""
    if not fragments:
        return []
    import sqlite_utils
    from llm.cli import resolve_fragments
    from llm.migrations import migrate

    path = log_path()
    database = sqlite_utils.Database(path) if path.exists() else sqlite_utils.Database(memory=True)
    try:
        migrate(database)  # type: ignore[no-untyped-call]
        return [str(fragment) for fragment in resolve_fragments(database, fragments)]
    except Exception as error:  # From the network, a file, or another plugin's loader.
        raise click.ClickException(f"A fragment cannot be read: {error}") from None
    finally:
        database.close()


def _model_id(model: str) -> str:
    try:
        return str(llm.get_model(model).model_id)
    except llm.UnknownModelError:
        raise click.ClickException(f"{model!r} is not a model; see: llm models list") from None
