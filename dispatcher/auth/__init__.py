"""Who may do what: tokens, what each kind may do, and the gate that every request passes before step 1 of its way."""
