"""Fault tests run in the same private network as the integration tests, with the same parts."""

from __future__ import annotations

from tests.integration.conftest import cluster, private_network, target

__all__ = ["cluster", "private_network", "target"]
