"""The tests, and programs that they need: `python -m tests.…` runs with what the one file holds, if one is named."""

import sys

from tests.support import one_file

if sys.argv[0] == "-m":  # what it is while Python looks for the module of `python -m`
    one_file.use()
