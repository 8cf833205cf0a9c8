"""The bounds of the link, the same on both sides. A peer that goes over one is refused, never trusted."""

from __future__ import annotations

MAX_FRAME_BYTES = 4 * 1024 * 1024
"""One WebSocket frame. The largest message is a response whose headers are all control characters: 1.8 MB of JSON."""

SHARED_FRAME_BYTES = 256 * 1024
"""Messages share a frame up to this size; the next one starts another."""

MAX_QUEUED_BYTES = 512 * 1024 * 1024
"""Bodies that may wait to be sent on one link."""

MAX_QUEUED_MESSAGES = 1024 * 1024
"""Messages that may; of those that are said most often, as ids to cancel, they take about as much."""

MAX_ARRIVING_BYTES = 2 * MAX_QUEUED_BYTES
"""Bodies that a coordinator may have begun to send to an agent and not ended: it sends all of them in turn, and has no
more than `MAX_QUEUED_BYTES` of them left to send."""

MAX_MESSAGES = 1024
"""Messages in one frame: reading so many results holds the event loop for 25 ms, and 100,000 of a liar for 800."""

CHUNK_BYTES = 64 * 1024
"""One piece of a body. At 10 Mbit/s it delays a small message behind it by 52 ms at most."""

BULK_WINDOW_BYTES = 1024 * 1024
"""Body bytes under way on one link that the peer has not acknowledged; what a small message can find before it."""

MAX_BODY_BYTES = 256 * 1024 * 1024
"""The most that a configuration may ask of a body, either way."""

MAX_URL_CHARS = 8192
MAX_METHOD_CHARS = 32
MAX_HEADERS = 1024
"""Header lines of one request or response."""

MAX_HEADER_BYTES = 300 * 1024
"""All headers of one request or response together: what libcurl takes of a response (CURL_MAX_HTTP_HEADER x 3)."""

MAX_SHARED_HEADER_CHARS = 4096
"""Headers of an answer that others of its frame may share: all of a frame would then say `MAX_FRAME_BYTES` in full."""

MAX_SECRET_HEADERS = 256
MAX_SECRET_HEADER_CHARS = 256
"""Names of `--redact-header`, which an agent is told when it is welcomed."""

MAX_ADDRESSES_PER_MESSAGE = 1000
MAX_ADDRESSES = 16_384
"""Addresses of one agent. When it goes, its exits leave the pool in one step of the loop: 10 ms for so many."""

DEFAULT_MAX_CONCURRENCY = 256
"""Transfers at once of an agent that was not told otherwise, or is too old to say."""

MAX_CONCURRENCY = 10_000
"""The most transfers at once that an agent may be told."""

MAX_HELD = 32_768
"""Executions that an agent may take along to its next link; with ids of 64 characters 2.2 MB of a frame."""

MAX_TEXT_CHARS = 1024
"""A name, a reason, a sentence."""

MAX_TIMEOUT_SECONDS = 3600.0
"""The longest that one execution may be given."""
