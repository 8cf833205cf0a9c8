"""The command line of the probe: a one file like the built one, whose command tells what it was started with.

Packed as `dispatcher/cli.py`. `hold` keeps it running until its stdin ends.
"""

import json
import sys


def main() -> int:
    """Import what a real command imports, and print where it came from."""
    if "--help" in sys.argv[1:]:
        sys.stdout.write("probe\n")
        return 0
    import cwcwidth  # noqa: PLC0415  as late as in a real command
    import docopt  # noqa: PLC0415  the same
    import msgspec._core  # noqa: PLC0415  the same
    import pycurl  # noqa: PLC0415  the same
    import pykka  # noqa: PLC0415  the same
    import tornado.speedups  # noqa: PLC0415  the same

    import dispatcher.errors  # noqa: PLC0415  the same
    from dispatcher.bootstrap import self_command  # noqa: PLC0415  the same

    modules = (tornado, tornado.speedups, pycurl, pykka, cwcwidth, docopt, msgspec._core, json, dispatcher.errors)
    found = {module.__name__: module.__file__ for module in modules}
    report = {"modules": found, "self_command": self_command(), "path": sys.path, "curl": pycurl.version}
    report["docopt"] = docopt.__version__
    sys.stdout.write(json.dumps(report) + "\n")
    sys.stdout.flush()
    if "hold" in sys.argv[1:]:
        sys.stdin.read()
    return 0
