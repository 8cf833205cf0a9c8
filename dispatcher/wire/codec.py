"""Messages to bytes and back: steps 4 and 5 of a request's way, and again on the way back.

A frame is the length of its JSON (4 bytes, big-endian), the JSON, and the body bytes of its messages one after the
other. The JSON is a list of objects, each with its tag in `t`, its fields, and in `b` how many body bytes are its own:
so many messages share a frame and no body is ever escaped. What is here is the truth and all there is on some machines;
`wire/structs.py` does the same for nearly every frame in a sixth of the time, and leaves the rest to this.
"""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from dispatcher.memo import Memo
from dispatcher.wire import fields, limits, native, structs
from dispatcher.wire.fields import WireError
from dispatcher.wire.structs import LENGTH_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dispatcher.wire.messages import Message
    from dispatcher.wire.structs import Referring

native_encode = native.encode
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False)
"""`json.dumps` would make one for each message, and look for circles in what is a tree."""


@dataclasses.dataclass(frozen=True, slots=True)
class Invalid:
    """A message that could not be read although the frame could: its tag, its id if it has one, and what is wrong."""

    tag: str
    id: str | None
    detail: str


def message_json(message: Message) -> bytes:
    """Write one message as it stands in a frame, without its body."""
    return message.as_json() or structs.write(message) or write_any(message)


def value_json(value: Any) -> bytes:
    """Write a member of a message: a text, a number, or lists of such."""
    if native_encode is not None:
        try:  # not `contextlib.suppress`, which costs more than the writing
            return native_encode(value)
        except UnicodeEncodeError:
            pass
    return _ENCODER.encode(value).encode("utf-8", "surrogatepass")


text_jsons: Memo[str, bytes] = Memo(value_json, 4096)
"""The same of a text that comes again and again, such as an address."""


def write_any(message: Message) -> bytes:
    """Write a message, one that `structs` leaves too."""
    content = {"t": message.tag, **fields.as_json(message)}
    if message.body:
        content["b"] = len(message.body)
    return _ENCODER.encode(content).encode("utf-8", "surrogatepass")


def join(encoded: Iterable[bytes], bodies: Iterable[bytes]) -> bytes:
    """Make a frame of messages that `message_json` wrote and of their bodies, in the same order."""
    head = b"[" + b",".join(encoded) + b"]"
    return b"".join((len(head).to_bytes(LENGTH_BYTES, "big"), head, *bodies))


def encode(messages: Iterable[Message]) -> bytes:
    """Make one frame of `messages`."""
    listed = list(messages)
    return join(map(message_json, listed), [message.body for message in listed])


def decode(frame: bytes, accepted: Iterable[type[Message]]) -> list[Message | Referring | Invalid]:
    """Read a frame. A message of an unknown tag is left out: a newer peer may send more.

    Raises:
        WireError: the frame itself cannot be read, so nothing in it can be trusted.
    """
    if len(frame) > limits.MAX_FRAME_BYTES:
        raise WireError(f"a frame of {len(frame)} bytes, more than {limits.MAX_FRAME_BYTES}")
    start = LENGTH_BYTES + int.from_bytes(frame[:LENGTH_BYTES], "big")
    if len(frame) < LENGTH_BYTES or start > len(frame):
        raise WireError("a frame that is shorter than it says")
    classes = tuple(accepted)
    return structs.read(frame, start, classes) or read_any(frame, start, classes)


def read_any(frame: bytes, start: int, accepted: tuple[type[Message], ...]) -> list[Message | Referring | Invalid]:
    """Read a frame whose bodies begin at `start`, of messages that `structs` leaves too; raises what `decode` does."""
    by_tag = {cls.tag: cls for cls in accepted}
    found: list[Message | Referring | Invalid] = []
    for item in _items(frame[LENGTH_BYTES:start]):
        end = start + _body_size(item, len(frame) - start)
        cls = by_tag.get(item["t"])
        if cls is not None:
            found.append(_message(cls, item, frame[start:end]))
        start = end
    if start != len(frame):
        raise WireError("a frame with bytes that belong to no message")
    return found


def _items(head: bytes) -> list[dict[str, Any]]:
    # Before they are made, where that can be: 50,000 objects hold the loop for 35 ms, and are looked at as garbage too.
    _demand_few(structs.count(head) or 0)
    try:
        items = json.loads(head.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise WireError("a frame whose messages are not JSON") from error
    if not isinstance(items, list) or any(not isinstance(i, dict) or not isinstance(i.get("t"), str) for i in items):
        raise WireError("a frame whose messages are not objects with a tag")
    _demand_few(len(items))
    return items


def _demand_few(count: int) -> None:
    if count > limits.MAX_MESSAGES:
        raise WireError(f"a frame of {count} messages, more than {limits.MAX_MESSAGES}")


def _body_size(item: dict[str, Any], left: int) -> int:
    size = item.get("b", 0)
    if type(size) is not int or not 0 <= size <= left:
        raise WireError("a message whose body is longer than its frame")
    return size


def _message(cls: type[Message], item: dict[str, Any], body: bytes) -> Message | Invalid:
    more = {"body": body} if body and structs.has_body(cls) else None
    try:
        message: Message = fields.parse(cls, item, more)
    except WireError as error:
        named = item.get("id")
        return Invalid(cls.tag, named if isinstance(named, str) else None, str(error))
    if body and more is None:
        return Invalid(cls.tag, None, f"{cls.__name__} has a body")
    return message
