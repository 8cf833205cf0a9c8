"""What goes to stderr, and how loud. ERROR: somebody must look. WARNING: a gateway or a peer misbehaves. INFO: agents
come and go. DEBUG: single executions and frames. The packages we use are one step quieter than we are.
"""

from __future__ import annotations

import logging
import sys

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_OTHERS = ("tornado", "pykka", "asyncio")


def set_up(level: str) -> None:
    """Log to stderr, our own records from `level` on."""
    ours = logging.getLevelNamesMapping()[level]
    logging.basicConfig(stream=sys.stderr, format=_FORMAT, level=logging.WARNING)
    logging.getLogger("dispatcher").setLevel(ours)
    for name in _OTHERS:
        logging.getLogger(name).setLevel(min(max(ours + 10, logging.WARNING), logging.ERROR))
    logging.getLogger("tornado.general").addFilter(_is_not_of_a_handshake)


def _is_not_of_a_handshake(record: logging.LogRecord) -> bool:
    """Leave out what Tornado warns of each TLS handshake that fails: we say that ourselves, and who is to blame."""
    return record.funcName != "_do_ssl_handshake"


def announce(line: str) -> None:
    """Write the one line that says that a process can do its work; not a log record, so no level hides it."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
