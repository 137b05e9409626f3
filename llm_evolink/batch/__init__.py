"""Asks a model about each row of a table, and keeps the answers in a file in llm's log format.

from llm_evolink.batch import ask

for result in ask(rows, "Sentiment of this review: $text", database="reviews.db"):
    print(result.id, result.answer or result.error)
"""

from .ask import ask, ask_async
from .errors import BatchError
from .progress import Limits
from .results import Result, Tokens

__all__ = ["BatchError", "Limits", "Result", "Tokens", "ask", "ask_async"]
