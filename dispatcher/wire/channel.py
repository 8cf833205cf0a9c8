"""One side of a link: typed messages in and out, frames in between. Sans-I/O; the WebSockets of both sides drive it.

Body chunks and their acknowledgements stay in here: whoever uses a channel sees whole messages with whole bodies.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from dispatcher.wire import codec, limits
from dispatcher.wire.codec import Invalid
from dispatcher.wire.fields import WireError
from dispatcher.wire.messages import BodyChunk, BodyTaken, Message
from dispatcher.wire.outbox import Outbox

Allowance = Callable[[str], "int | None"]
"""How many body bytes the message with this id may bring; None where no such message is expected."""


class Assembler:
    """The bodies that are still arriving, each bounded by what its id may bring."""

    def __init__(self, allowance: Allowance) -> None:
        """Start with none."""
        self._allowance = allowance
        self._pieces: dict[str, list[bytes]] = {}
        self._sizes: dict[str, int] = {}

    def add(self, chunk: BodyChunk) -> Invalid | None:
        """Keep a chunk. One that nobody expects is dropped; one past the allowance makes the message invalid, once."""
        allowed = self._allowance(chunk.id)
        if allowed is None:
            self.forget(chunk.id)
            return None
        size = self._sizes.get(chunk.id, 0) + len(chunk.body)
        self._sizes[chunk.id] = size
        if size > allowed:
            self._pieces.pop(chunk.id, None)
            return Invalid(chunk.tag, chunk.id, f"its body has more than the {allowed} bytes allowed")
        self._pieces.setdefault(chunk.id, []).append(chunk.body)
        return None

    def complete(self, message: Message) -> Message | Invalid:
        """Put the chunks that went ahead of `message` before its own piece of the body."""
        identifier = getattr(message, "id", None)
        if not hasattr(message, "body") or not isinstance(identifier, str):
            return message
        allowed = self._allowance(identifier)
        size = self._sizes.pop(identifier, 0) + len(message.body)
        pieces = self._pieces.pop(identifier, [])
        if allowed is not None and size > allowed:
            return Invalid(message.tag, identifier, f"its body has {size} bytes, more than the {allowed} allowed")
        if not pieces:
            return message
        body = b"".join((*pieces, message.body))
        return dataclasses.replace(message, body=body)  # type: ignore[type-var]  # every message is a dataclass

    def forget(self, identifier: str) -> None:
        """Drop what has come of this message."""
        self._pieces.pop(identifier, None)
        self._sizes.pop(identifier, None)


class Channel:
    """One side of a link."""

    def __init__(self, accepted: tuple[type[Message], ...], allowance: Allowance) -> None:
        """Take only `accepted` messages from the peer, and bodies only as `allowance` lets them."""
        self._accepted = accepted
        self._assembler = Assembler(allowance)
        self.outbox = Outbox()

    def receive(self, frame: bytes | str) -> list[Message | Invalid]:
        """Read a frame and return the messages that it completes.

        Raises:
            WireError: the frame cannot be read; the link must end.
        """
        found: list[Message | Invalid] = []
        taken = 0
        if isinstance(frame, str):
            raise WireError("a frame of text")
        for message in codec.decode(frame, self._accepted):
            match message:
                case BodyChunk():
                    taken += len(message.body)
                    problem = self._assembler.add(message)
                    found += [problem] if problem else []
                case BodyTaken():
                    self.outbox.taken(message.size)
                case Invalid():
                    if message.id is not None:
                        self._assembler.forget(message.id)
                    found.append(message)
                case _:
                    found.append(self._assembler.complete(message))
        if taken:
            self.outbox.put(BodyTaken(size=min(taken, limits.BULK_WINDOW_BYTES)))
        return found

    def forget(self, identifier: str) -> None:
        """Nobody waits for the message with this id any more."""
        self._assembler.forget(identifier)
