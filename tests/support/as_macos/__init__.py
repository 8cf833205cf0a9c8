"""What makes a Python on Linux look like one on macOS; `FOLDER` in PYTHONPATH does it."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
"""Where Python finds `sitecustomize`."""
