"""The command line: parses, calls, prints."""

from demograd.cli.main import main

__all__ = ["main"]
