"""EvoLink's models that llm has registered."""

from collections.abc import Iterator

import llm

from .. import EvolinkChat


def registered_models() -> Iterator[tuple[EvolinkChat, list[str]]]:
    """Yield EvoLink's models and their aliases: the document's, then added ones, removed or not."""
    for listed in llm.get_models_with_aliases():
        if isinstance(listed.model, EvolinkChat):
            yield listed.model, list(listed.aliases)
