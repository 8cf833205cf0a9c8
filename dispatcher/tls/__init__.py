"""TLS between the parts of the product: contexts made of files, made anew when those change, and errors in words.

Used by both ends of a link and by the monitor; what an agent's requests trust is libcurl's business (`trust.py`).
"""
