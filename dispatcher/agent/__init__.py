"""The gateway's side: keeps the link, knows the addresses, makes the requests."""
