"""
The command line. Owns: the words a person types. Does not own: what they do; each command imports its room when it runs.

One file a group of commands; `main` puts them together.
"""

from z0.cli.main import main

__all__ = ["main"]
