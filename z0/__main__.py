"""`python -m z0` is the command `z0`."""

from z0.cli import main

main()
