"""This machine's addresses: found, judged, tested and told of. Before a request's way, on the agent's event loop."""
