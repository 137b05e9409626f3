"""Checks of a request against EvoLink's document and Gemini's rules."""
