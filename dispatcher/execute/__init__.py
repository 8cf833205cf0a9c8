"""The command `execute`: executions from the shell, one or a batch, by a running coordinator."""
