"""`llm evolink usage`: tokens and cost from llm's log."""
