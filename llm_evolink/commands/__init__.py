"""`llm evolink …`: commands beside the model."""
