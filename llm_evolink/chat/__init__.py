"""The models, as llm calls them."""

from .model import AsyncEvolinkChat, EvolinkChat

__all__ = ["AsyncEvolinkChat", "EvolinkChat"]
