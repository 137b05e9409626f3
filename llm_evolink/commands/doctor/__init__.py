"""`llm evolink doctor`: checks of the installation."""
