"""Runs the command line: python -m regeneration."""

from .command_line import run

run()
