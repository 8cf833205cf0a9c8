"""What waits to be sent on one link, and in which order it goes: everything small at once, large bodies piece by piece.

Sans-I/O, used by both sides. A message whose body fits one chunk leaves with the next frame. A larger one lets its
body go ahead in chunks, one a frame, the large ones taking turns, and never more than a window that the peer has not
acknowledged: so an execution beside a 50 MB response waits for one chunk, not for 50 MB.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict

from dispatcher.wire import codec, limits
from dispatcher.wire.messages import BodyChunk, Draining, Execute, Message
from dispatcher.wire.sharing import Writer


class OutboxFullError(Exception):
    """More waits to be sent than a link may hold: the peer does not read."""


class _Large:
    """A message whose body goes ahead of it: `message` without its body, and the body with how far it has gone."""

    def __init__(self, message: Message, identifier: str) -> None:
        self.identifier = identifier
        self.message = message
        self.body = memoryview(message.body)
        self.sent = 0

    def next_chunk(self) -> Message:
        """Take the next piece; the last one is the message itself with the rest of its body."""
        start, self.sent = self.sent, min(self.sent + limits.CHUNK_BYTES, len(self.body))
        piece = bytes(self.body[start : self.sent])
        if self.is_done:
            return self.message.with_body(piece)
        return BodyChunk(id=self.identifier, body=piece)

    @property
    def is_done(self) -> bool:
        return self.sent == len(self.body)


_Key = str | tuple[str, int]


class Outbox:
    """The messages that wait on one link. `next_frame` decides what goes; sending it is the caller's business.

    Messages are kept by id, in order, so that taking one back is one step: when an agent stops reading, all that waits
    for it is taken back in the same turn of the loop. One that has no id, or the id of another that waits, has a number
    beside it.
    """

    def __init__(self) -> None:
        """Start with nothing to send and the whole window open."""
        self._next_number = itertools.count()
        self._small: dict[_Key, Message] = {}
        self._large: OrderedDict[_Key, _Large] = OrderedDict()
        self._behind: list[tuple[Message, list[_Key]]] = []
        self._window = limits.BULK_WINDOW_BYTES
        self._queued_bytes = 0
        self.can_share = False
        """Whether the peer knows what `Writer` may write of this side's messages."""

    def put(self, message: Message) -> None:
        """Queue a message.

        Raises:
            OutboxFullError: `limits.MAX_QUEUED_BYTES` of bodies wait already, or `limits.MAX_QUEUED_MESSAGES`.
        """
        if len(self._small) >= limits.MAX_QUEUED_MESSAGES:
            raise OutboxFullError(f"{len(self._small)} messages wait to be sent")
        size = len(message.body)
        if size:
            if self._queued_bytes + size > limits.MAX_QUEUED_BYTES:
                raise OutboxFullError(f"{self._queued_bytes} bytes wait to be sent")
            self._queued_bytes += size
        executions = self._large_executions() if isinstance(message, Draining) else []
        if executions:
            # It says that nothing more is given, so it must not overtake what was given before it.
            self._behind.append((message, executions))
        else:
            self._queue(message, size)

    def _queue(self, message: Message, size: int) -> None:
        identifier = message.id
        key: _Key
        if not identifier or identifier in self._small or identifier in self._large:
            key = (identifier, next(self._next_number))
        else:
            key = identifier
        if size > limits.CHUNK_BYTES:
            self._large[key] = _Large(message, identifier)
        else:
            self._small[key] = message

    def taken(self, size: int) -> None:
        """The peer has taken in `size` bytes of body chunks."""
        self._window = min(self._window + size, limits.BULK_WINDOW_BYTES)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._small and not self._large

    def unsent(self) -> frozenset[str]:
        """Return the ids of the messages that have not left as a whole."""
        names = {key if isinstance(key, str) else key[0] for key in (*self._small, *self._large)}
        return frozenset(names - {""})

    def discard(self, identifier: str) -> bool:
        """Take back what has not left of the message with this id; False where some or all of it has left.

        Of several with this id it is the first that waits.
        """
        small = self._small.pop(identifier, None)
        if small is not None:
            self._queued_bytes -= len(small.body)
            return True
        large = self._large.pop(identifier, None)
        if large is None:
            return False
        self._let_follow()
        self._queued_bytes -= len(large.body) - large.sent
        return large.sent == 0

    def next_frame(self) -> bytes | None:
        """Take what goes next as one frame; None where nothing may go now."""
        if len(self._small) == 1 and not self._large:
            return self._take_alone()
        encoded, bodies = self._take_small()
        # A message that fills a frame by itself has it for itself: beside another one it might pass MAX_FRAME_BYTES.
        chunk = self._next_chunk() if sum(map(len, encoded)) <= limits.SHARED_FRAME_BYTES else None
        if chunk is not None:
            encoded.append(codec.message_json(chunk))
            bodies.append(chunk.body)
        if not encoded:
            return None
        self._queued_bytes -= sum(map(len, bodies))
        return codec.join(encoded, bodies)

    def _take_alone(self) -> bytes:
        """Take the one message that waits; most that are no part of a batch leave so."""
        _, message = self._small.popitem()
        body = message.body
        self._queued_bytes -= len(body)
        return codec.join((codec.message_json(message),), (body,))

    def _take_small(self) -> tuple[list[bytes], list[bytes]]:
        """Take the small messages that go next: how they are written, and their bodies."""
        encoded: list[bytes] = []
        bodies: list[bytes] = []
        size = 0
        write = Writer().write if self.can_share else codec.message_json
        for message in self._small.values():
            written, body = write(message), message.body
            size += len(written) + len(body)
            if encoded and size > limits.SHARED_FRAME_BYTES:
                break
            encoded.append(written)
            bodies.append(body)
            if len(encoded) == limits.MAX_MESSAGES - 1:  # one place is for a chunk
                break
        if len(encoded) == len(self._small):
            self._small.clear()
        for key in list(itertools.islice(self._small, len(encoded))):
            del self._small[key]
        return encoded, bodies

    def _next_chunk(self) -> Message | None:
        if not self._large or self._window < limits.CHUNK_BYTES:
            return None
        key, large = next(iter(self._large.items()))
        chunk = large.next_chunk()
        if large.is_done:
            del self._large[key]
            self._let_follow()
        else:
            self._window -= limits.CHUNK_BYTES
            self._large.move_to_end(key)
        return chunk

    def _large_executions(self) -> list[_Key]:
        return [key for key, large in self._large.items() if isinstance(large.message, Execute)]

    def _let_follow(self) -> None:
        """Queue what waits for large messages that have left by now."""
        freed = [entry for entry in self._behind if not any(key in self._large for key in entry[1])]
        self._behind = [entry for entry in self._behind if entry not in freed]
        for message, _ in freed:
            self._queue(message, 0)
