"""Notices on stderr about a finished answer, such as one that is cut, refused or empty."""

from __future__ import annotations

from collections.abc import Iterator

from .finish_reason import Ending
from .reply import Reply

CUT_TEXT = (
    "The answer was cut at the token limit: continue it with llm -c 'continue', or raise the limit "
    "with -o max_tokens"
)
NO_TEXT = (
    "The token limit was reached before any text of the answer: raise it with -o max_tokens; "
    "reasoning counts too"
)
CUT_JSON = "The JSON of the answer is cut ({reason}) and must not be parsed: {advice}"
_ADVICE = {
    Ending.TOKEN_LIMIT: "raise the limit with -o max_tokens",
    Ending.FILTERED: "rephrase the prompt",
}


def notices(reply: Reply, *, is_cut_json: bool) -> Iterator[str]:
    """Yield a line for each thing that a person should know about the finished answer.

    `is_cut_json` is whether a schema asked for JSON and the answer is not complete JSON.
    """
    reason = reply.finish_reason
    if reply.has_refusal:
        yield "The model refused to answer; the text is its reason"
    if reply.function_call is not None:
        yield (
            f"The answer came as a function_call of {reply.function_call or 'no name'}, the legacy "
            "form of a tool call: its arguments are shown, and nothing was called"
        )
    if is_cut_json and not reply.is_empty:
        advice = _ADVICE.get(reply.ending, "try again")
        yield CUT_JSON.format(reason=reason or "no finish_reason", advice=advice)
    elif reply.ending is Ending.TOKEN_LIMIT:
        yield NO_TEXT if reply.is_empty else CUT_TEXT
    elif reply.ending is Ending.FILTERED:
        yield f"The answer was cut by the server's content filter ({reason}): rephrase the prompt"
    elif reply.ending is Ending.UNKNOWN:
        yield f"The server ended the answer with an unknown finish_reason ({reason})"
    elif reply.ending is Ending.MISSING:
        yield "The server did not report how the answer ended: it may be incomplete"
    if reply.is_empty and reply.ending is not Ending.TOKEN_LIMIT:
        yield "The answer is empty: the server reported its end and sent no text"
