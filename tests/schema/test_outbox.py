"""What waits for a client: bounded, and not silent about what is dropped."""

from collections.abc import Callable, Sequence

from schema.outbox import MAX_MESSAGES, Outbox


class StuckWire:
    """A client that reads nothing until it is told to."""

    def __init__(self) -> None:
        self.on_ready: Callable[[], None] = lambda: None
        self.is_ready = False
        self.sent: list[bytes] = []

    def head(self, length: int) -> bytes:
        return b""

    def write(self, messages: Sequence[bytes], tail: bytes) -> None:
        self.sent += [message + tail for message in messages]

    def abort(self) -> None:
        self.is_ready = False


def test_what_says_that_messages_were_dropped_is_not_dropped() -> None:
    wire, ends = StuckWire(), []
    outbox = Outbox(wire, lambda: (ends.append("full"), outbox.put_one(b"error")))
    for number in range(3 * MAX_MESSAGES):
        outbox.put([b"event %d" % number], b"!", 10)
    outbox.put_one(b"pong")
    wire.is_ready = True
    wire.on_ready()
    assert (wire.sent, ends) == ([b"error", b"pong"], ["full"])


def test_messages_keep_their_order() -> None:
    wire = StuckWire()
    outbox = Outbox(wire, lambda: None)
    outbox.put([b"1", b"2"], b"!", 4)
    outbox.put_one(b"3")
    wire.is_ready = True
    wire.on_ready()
    outbox.put_one(b"4")
    assert wire.sent == [b"1!", b"2!", b"3", b"4"]
