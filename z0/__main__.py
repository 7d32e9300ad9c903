"""`python -m z0` is the command `z0`."""

import sys

try:
    from z0.cli import main

    main()
except KeyboardInterrupt:  # also while the rooms are still being imported
    sys.exit(130)
