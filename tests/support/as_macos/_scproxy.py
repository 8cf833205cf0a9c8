"""What the standard library asks on macOS for the system's proxies: there are none."""

from __future__ import annotations


def _get_proxy_settings() -> dict[str, object]:
    return {}


def _get_proxies() -> dict[str, str]:
    return {}
