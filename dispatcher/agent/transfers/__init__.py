"""One request through libcurl from a given source address: step 7 of a request's way, on the agent's event loop."""
