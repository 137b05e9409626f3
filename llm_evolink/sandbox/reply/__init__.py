"""Replies of the sandbox, and their form as responses."""
