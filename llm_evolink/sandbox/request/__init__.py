"""Checks of a request against EvoLink's document and the rules of Gemini 3."""
