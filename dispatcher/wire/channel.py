"""One side of a link: typed messages in and out, frames in between. Sans-I/O; the WebSockets of both sides drive it.

Body chunks and their acknowledgements stay in here: whoever uses a channel sees whole messages with whole bodies.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from io import BytesIO

from dispatcher.wire import codec, limits, version
from dispatcher.wire.codec import Invalid
from dispatcher.wire.fields import WireError
from dispatcher.wire.messages import BodyChunk, BodyTaken, Execute, Hello, Message, Result, Welcome
from dispatcher.wire.outbox import Outbox
from dispatcher.wire.sharing import Likewise, Reader

Allowance = Callable[[str], "int | None"]
"""How many body bytes the message with this id may bring; None where no such message is expected."""

ENTRY_BYTES = 1024
"""What a body that is arriving takes beside its bytes, about."""

_NOTHING = BytesIO()


class Assembler:
    """The bodies that are still arriving, each bounded by what its id may bring.

    In a `BytesIO` each, which gives its bytes away without a copy: one of 50 MB would hold the event loop for 30 ms.
    """

    def __init__(self, allowance: Allowance, most_bytes: float) -> None:
        """Start with none; they may take `most_bytes` together."""
        self._allowance = allowance
        self._most_bytes = most_bytes
        self._bytes = 0
        self._arrived: dict[str, BytesIO | None] = {}  # None: it was said to be invalid

    def add(self, chunk: BodyChunk) -> Invalid | None:
        """Keep a chunk. One that nobody expects is dropped; one past the allowance makes the message invalid, once.

        Raises:
            WireError: too much has arrived of messages that have not.
        """
        allowed = self._allowance(chunk.id)
        if allowed is None:
            self.forget(chunk.id)
            return None
        if chunk.id not in self._arrived:
            self._count(ENTRY_BYTES)
        arrived = self._arrived.setdefault(chunk.id, BytesIO())
        if arrived is None:
            return None
        if arrived.tell() + len(chunk.body) > allowed:
            self._bytes -= arrived.tell()
            self._arrived[chunk.id] = None
            return _too_long(chunk, allowed)
        self._count(len(chunk.body))
        arrived.write(chunk.body)
        return None

    def _count(self, size: int) -> None:
        self._bytes += size
        if self._bytes > self._most_bytes:
            raise WireError(f"bodies of more than {self._most_bytes:.0f} bytes that do not end")

    def _take(self, identifier: str) -> BytesIO | None:
        """Take what has arrived of a message; None where it was said to be invalid before."""
        if identifier not in self._arrived:
            return _NOTHING
        arrived = self._arrived.pop(identifier)
        self._bytes -= ENTRY_BYTES + (0 if arrived is None else arrived.tell())
        return arrived

    def complete(self, message: Execute | Result) -> Message | Invalid | None:
        """Put the chunks that went ahead of `message` before its own piece; None where they made it invalid before."""
        identifier = message.id
        allowed = self._allowance(identifier)
        arrived = self._take(identifier) if self._arrived else _NOTHING
        if allowed is None:
            return message
        if arrived is None:
            return None
        so_far = arrived.tell()
        if so_far + len(message.body) > allowed:
            return _too_long(message, allowed)
        if not so_far:
            return message
        arrived.write(message.body)
        return message.with_body(arrived.getvalue())

    def forget(self, identifier: str) -> bool:
        """Drop what has come of this message; True where it was said to be invalid before."""
        return self._take(identifier) is None


def _too_long(message: Message, allowed: int) -> Invalid:
    return Invalid(message.tag, message.id, f"its body has more than the {allowed} bytes allowed")


class Channel:
    """One side of a link."""

    def __init__(
        self, accepted: tuple[type[Message], ...], allowance: Allowance, most_arriving: float = math.inf
    ) -> None:
        """Take only `accepted` messages from the peer, and bodies only as `allowance` lets them.

        Where that bounds each of them but not their number, `most_arriving` bytes bound those that have not ended.
        """
        self._accepted = accepted
        self._assembler = Assembler(allowance, most_arriving)
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
        read = Reader().take
        for each in codec.decode(frame, self._accepted):
            match message := read(each):
                case Result() | Execute():
                    # What is like another has no body.
                    completed = message if type(message) is Likewise else self._assembler.complete(message)
                    if completed is not None:
                        found.append(completed)
                case BodyChunk():
                    taken += len(message.body)
                    problem = self._assembler.add(message)
                    found += [problem] if problem else []
                case BodyTaken():
                    self.outbox.taken(message.size)
                case Invalid():
                    was_said = message.id is not None and self._assembler.forget(message.id)
                    found += [] if was_said else [message]
                case _:
                    self._note(message)
                    found.append(message)
        if taken:
            self.outbox.put(BodyTaken(size=min(taken, limits.BULK_WINDOW_BYTES)))
        return found

    def _note(self, message: Message) -> None:
        """Remember what the peer says of itself."""
        if isinstance(message, Hello):
            self.outbox.can_share = version.can_share_requests(message.wire)
        elif isinstance(message, Welcome):
            self.outbox.can_share = version.can_share_answers(message.wire)

    def forget(self, identifier: str) -> None:
        """Nobody waits for the message with this id any more."""
        self._assembler.forget(identifier)
