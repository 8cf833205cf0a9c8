"""HTTP Dispatcher: one configured HTTP request, sent through the next IPv6 address of a pool that spans gateways."""

__version__ = "0.1.0"
