"""The one file: how `build.py` packs it and how its first start unpacks it. `bootstrap.py` runs every start.

What lies inside `dispatcher.pyz`, sorted by name, with fixed times:

- `__main__.py`: refuses a Python that is too old, in words that Python 2.7 can still read, and a file whose first
  modules are damaged
- `dispatcher/`, `docopt/`: the front, importable straight from the file, so that `--help` unpacks nothing; stored
- `packages.zip`: every other file that is the same for all targets
- `blobs/HASH`: the files that are not (native ones), once each however many targets use them
- `targets.txt`: a line a target: its tag and the name of its set
- `targets/TAG.txt`: a line a file of the set: SHA-256, size in bytes, where in this file it lies, its path
- `inputs.txt`: the hash of what the file was built from

`pack.py`, `compiled.py`, `plain_classes.py`, `constants.py`, `targets.py`, `bill.py`, `licences.py`, `environment.py`,
`pythons.py` and `roots.py` belong to the build and are not in the file. `bootstrap.py`, `unpack.py`, `memory.py` and
`prune.py` are.

A target's tag is what Python puts into the names of its extension modules, such as `cpython-311-x86_64-linux-gnu`.
The target `pure` is for every Python that has none of its own: no native packages, stand-ins where there can be one.
A set's name is the tag of the Python and the hash of its list, so files with the same content share one unpacked set.
"""
