"""What messages of one frame have in common is said once: between steps 4 and 5 of a request's way, and back. Sans-I/O.

In a batch nearly all have. An execution of the request of the one before it in its frame is written as an `Again`, a
third as long, and read as a `Likewise`, which costs the agent a third as much and says that it is the same. A result
with the head of the one before it is written as an `Alike`, a quarter as long, and read as a result that has not an
equal head but that very one. Frames stand by themselves: nothing is remembered from one to the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dispatcher.wire import codec, fields, limits
from dispatcher.wire.codec import Invalid
from dispatcher.wire.messages import Again, Execute, Message, Result
from dispatcher.wire.phases import timings_of

if TYPE_CHECKING:
    from dispatcher.wire.structs import Referring

_AGAIN = b'{"t":"again","id":%b,"source":%b,"timeout":%b}'
_EXECUTE = b'{"t":"execute","id":%b,"source":%b,"timeout":%b,%b'

_OWN = frozenset(("id", "source", "timeout"))
"""What each execution says for itself, though all else is as in another."""


class Likewise(Execute):
    """An execution that asks for what `like` does, which has no body; so all that do are known by that object."""

    __slots__ = ("_like",)

    def __init__(self, identifier: str, source: str, timeout: float, like: Execute) -> None:
        """Ask from `source`, within `timeout` seconds."""
        Execute.__init__(  # by place, and without `super`, which is quicker
            self,
            identifier,
            source,
            like.method,
            like.url,
            timeout,
            like.headers,
            like.follow_redirects,
            like.max_redirects,
            like.verify_tls,
            like.http_version,
            like.max_body_bytes,
            like.has_body,
        )
        self._like = like

    @property
    def like(self) -> Execute:
        """Return the one that it was made of."""
        return self._like

    def as_json(self) -> bytes:
        """Write it in full, most of which is written once for all that ask for the same."""
        asked = self._like.asked_json or _write_asked(self._like)
        return _EXECUTE % (
            codec.value_json(self.id),
            codec.text_jsons[self.source],
            codec.value_json(self.timeout),
            asked,
        )

    def json_after(self, before: Message) -> bytes | None:
        """Write it as an `Again` of an execution that asks for the same."""
        if not isinstance(before, Execute):
            return None
        like = before.like
        if like is not self._like and like != self._like:
            return None
        return _AGAIN % (codec.value_json(self.id), codec.text_jsons[self.source], codec.value_json(self.timeout))


def _write_asked(like: Execute) -> bytes:
    """Write all but what is an execution's own, as it stands at the end of its JSON, and have `like` keep it."""
    content = {name: value for name, value in fields.as_json(like).items() if name not in _OWN}
    like.asked_json = asked = codec.value_json(content)[1:]  # type: ignore[misc]  # noted beside what it says
    return asked


def _may_share(message: Execute | Result) -> bool:
    """Say whether others of its frame may say that they are like this one, which is said in full."""
    if isinstance(message, Execute):
        return not message.body
    return message.status is not None and message.header_chars <= limits.MAX_SHARED_HEADER_CHARS


_IN_FULL = frozenset((Execute.tag, Result.tag))


class Writer:
    """Writes the messages of one frame, in their order, as they stand in it without their bodies."""

    def __init__(self) -> None:
        """Begin a frame."""
        self._before: Message | None = None

    def write(self, message: Message) -> bytes:
        """Write the next one."""
        if self._before is not None and (written := message.json_after(self._before)) is not None:
            return written
        if isinstance(message, Execute | Result):
            self._before = message if _may_share(message) else None
        return codec.message_json(message)


class Reader:
    """Takes the messages of one frame, in their order, and makes executions and results of what is like another."""

    def __init__(self) -> None:
        """Begin a frame."""
        self._before: Execute | Result | None = None
        self._is_known_to_share = False

    def take(self, message: Message | Referring | Invalid) -> Message | Invalid:
        """Return what the next one means."""
        kind = type(message)
        if kind is Execute or kind is Result:
            self._before, self._is_known_to_share = message, False  # type: ignore[assignment]  # just asked
        elif kind is Invalid:
            self._before = None if message.tag in _IN_FULL else self._before
        elif message.refers:  # type: ignore[union-attr]  # as above
            return self._like_before(message)
        return message  # type: ignore[return-value]  # all that is no message refers

    def _like_before(self, said: Any) -> Message | Invalid:
        """Make a message of an `Again` or an `Alike`, or of what was read as such."""
        before = self._before
        # Asked only now, because most frames have many like the first or none.
        if before is not None and not self._is_known_to_share:
            self._before = before = before if _may_share(before) else None
            self._is_known_to_share = True
        # A side takes only one of the two, so that what it refers to is of the right kind.
        if isinstance(before, Result):
            return _answer(said, before)
        if isinstance(before, Execute):
            return Likewise(said.id, said.source, said.timeout, before)
        needed = "execution without a body" if said.tag == Again.tag else "answer with short headers"
        return Invalid(said.tag, said.id, f"no {needed} is before it in its frame")


def _answer(said: Any, like: Result) -> Result:
    return Result(  # by place, which is quicker than by name
        said.id,
        like.status,
        like.reason,
        like.http_version,
        like.remote_ip if said.remote_ip is None else said.remote_ip,
        said.source_ip,
        like.headers,
        said.body_size,
        said.truncated,
        timings_of(said.microseconds),
        None,
        "",
        None,
        said.body,
    )
