"""The coordinator's state, one owner each: pool, agents, history, configuration."""
