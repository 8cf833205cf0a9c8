"""Everything on this machine in one go: a coordinator, two agents, a target and a few executions."""

from dispatcher.demo.main import run

__all__ = ["run"]
