"""The command `z0`, also as `python -m z0`. Owns: that Ctrl-C ends it without a traceback, also while the rooms are imported."""

import sys


def main() -> None:
    """Run the command line."""
    try:
        from z0.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
