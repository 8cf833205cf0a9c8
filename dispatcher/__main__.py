"""`python -m dispatcher`: the command line in a checkout; the one file starts in `bootstrap.py` instead."""

import sys

from dispatcher.cli import main

if __name__ == "__main__":
    sys.exit(main())
