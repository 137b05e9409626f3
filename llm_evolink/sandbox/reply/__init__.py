"""Replies of the sandbox, and their serialization as responses."""
