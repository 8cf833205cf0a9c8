"""What waits to be sent on one link, and in which order it goes: everything small at once, large bodies piece by piece.

Sans-I/O, used by both sides. A message whose body fits one chunk leaves with the next frame. A larger one lets its
body go ahead in chunks, one a frame, the large ones taking turns, and never more than a window that the peer has not
acknowledged: so an execution beside a 50 MB response waits for one chunk, not for 50 MB.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import OrderedDict

from dispatcher.wire import codec, limits
from dispatcher.wire.messages import BodyChunk, Draining, Execute, Message


class OutboxFullError(Exception):
    """More waits to be sent than a link may hold: the peer does not read."""


class _Large:
    """A message whose body goes ahead of it: `message` without its body, and the body with how far it has gone."""

    def __init__(self, message: Message, identifier: str) -> None:
        self.identifier = identifier
        self.message = message
        self.body = memoryview(codec.body_of(message))
        self.sent = 0

    def next_chunk(self) -> Message:
        """Take the next piece; the last one is the message itself with the rest of its body."""
        start, self.sent = self.sent, min(self.sent + limits.CHUNK_BYTES, len(self.body))
        piece = bytes(self.body[start : self.sent])
        if self.is_done:
            return dataclasses.replace(self.message, body=piece)  # type: ignore[type-var]  # see codec
        return BodyChunk(id=self.identifier, body=piece)

    @property
    def is_done(self) -> bool:
        return self.sent == len(self.body)


class Outbox:
    """The messages that wait on one link. `next_frame` decides what goes; sending it is the caller's business.

    Messages are kept by number, in order, so that taking one back is one step: when an agent stops reading, all that
    waits for it is taken back in the same turn of the loop.
    """

    def __init__(self) -> None:
        """Start with nothing to send and the whole window open."""
        self._next_number = itertools.count()
        self._small: dict[int, Message] = {}
        self._large: OrderedDict[int, _Large] = OrderedDict()
        self._numbers: dict[str, int] = {}
        self._behind: list[tuple[Message, list[int]]] = []
        self._window = limits.BULK_WINDOW_BYTES
        self._queued_bytes = 0

    def put(self, message: Message) -> None:
        """Queue a message.

        Raises:
            OutboxFullError: `limits.MAX_QUEUED_BYTES` of bodies wait already.
        """
        size = len(codec.body_of(message))
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
        number = next(self._next_number)
        identifier = getattr(message, "id", None)
        if identifier is not None:
            self._numbers[identifier] = number
        if size > limits.CHUNK_BYTES:
            self._large[number] = _Large(message, message.id)  # type: ignore[attr-defined]  # a body has an id with it
        else:
            self._small[number] = message

    def taken(self, size: int) -> None:
        """The peer has taken in `size` bytes of body chunks."""
        self._window = min(self._window + size, limits.BULK_WINDOW_BYTES)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._small and not self._large

    def unsent(self) -> frozenset[str]:
        """Return the ids of the messages that have not left as a whole."""
        return frozenset(self._numbers)

    def discard(self, identifier: str) -> bool:
        """Take back what has not left of the message with this id; False where some or all of it has left."""
        number = self._numbers.pop(identifier, None)
        if number is None:
            return False
        if number in self._small:
            self._queued_bytes -= len(codec.body_of(self._small.pop(number)))
            return True
        large = self._large.pop(number)
        self._let_follow()
        self._queued_bytes -= len(large.body) - large.sent
        return large.sent == 0

    def next_frame(self) -> bytes | None:
        """Take what goes next as one frame; None where nothing may go now."""
        encoded, bodies = self._take_small()
        # A message that fills a frame by itself has it for itself: beside another one it might pass MAX_FRAME_BYTES.
        chunk = self._next_chunk() if sum(map(len, encoded)) <= limits.SHARED_FRAME_BYTES else None
        if chunk is not None:
            encoded.append(codec.message_json(chunk))
            bodies.append(codec.body_of(chunk))
        if not encoded:
            return None
        self._queued_bytes -= sum(map(len, bodies))
        return codec.join(encoded, bodies)

    def _take_small(self) -> tuple[list[bytes], list[bytes]]:
        """Take the small messages that go next: how they are written, and their bodies."""
        encoded: list[bytes] = []
        bodies: list[bytes] = []
        taken: list[tuple[int, Message]] = []
        size = 0
        for entry in self._small.items():
            written, body = codec.message_json(entry[1]), codec.body_of(entry[1])
            size += len(written) + len(body)
            if taken and size > limits.SHARED_FRAME_BYTES:
                break
            encoded.append(written)
            bodies.append(body)
            taken.append(entry)
            if len(taken) == limits.MAX_MESSAGES - 1:  # one place is for a chunk
                break
        for number, message in taken:
            del self._small[number]
            self._forget(getattr(message, "id", None), number)
        return encoded, bodies

    def _forget(self, identifier: str | None, number: int) -> None:
        if identifier is not None and self._numbers.get(identifier) == number:
            del self._numbers[identifier]

    def _next_chunk(self) -> Message | None:
        if not self._large or self._window < limits.CHUNK_BYTES:
            return None
        number, large = next(iter(self._large.items()))
        chunk = large.next_chunk()
        if large.is_done:
            del self._large[number]
            self._forget(large.identifier, number)
            self._let_follow()
        else:
            self._window -= limits.CHUNK_BYTES
            self._large.move_to_end(number)
        return chunk

    def _large_executions(self) -> list[int]:
        return [number for number, large in self._large.items() if isinstance(large.message, Execute)]

    def _let_follow(self) -> None:
        """Queue what waits for large messages that have left by now."""
        freed = [entry for entry in self._behind if not any(number in self._large for number in entry[1])]
        self._behind = [entry for entry in self._behind if entry not in freed]
        for message, _ in freed:
            self._queue(message, 0)
