"""Nodes that send in a thread of their own, and a sink that shows how fast this alone can be."""

import selectors
import socket
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from threading import Thread
from time import perf_counter, sleep

from bench.load import END
from bench.telemetry_node import ACCEPTED, Node, SocketError

TICK_S = 0.01
LOOK_S = 0.002
CLOSE_TIMEOUT_S = 180
SINK_BYTES = 1 << 20


class Senders:
    """Nodes that send in a thread of their own, from `start` to `stop`; more of them may join meanwhile.

    `held_s` is for how long one or more had something to send that the server did not take.
    """

    def __init__(self, nodes: Iterable[Node] = ()) -> None:
        self.nodes: list[Node] = []
        self.began_at = self.held_s = 0.0
        self._joining = deque(nodes)
        self._selector = selectors.DefaultSelector()
        self._wanted: dict[Node, int] = {}
        self._by_clock: set[Node] = set()
        self._waiting: set[Node] = set()
        self._next_tick = 0.0
        self._is_stopping = False
        self._thread = Thread(target=self._run, daemon=True)
        self.failure: BaseException | None = None

    @property
    def sent(self) -> int:
        """How many messages were given to the kernel, or are about to be."""
        return sum(node.sent for node in self.nodes)

    @property
    def count(self) -> int:
        """How many messages are to be sent."""
        return sum(node.count for node in [*self.nodes, *self._joining])

    @property
    def is_sent(self) -> bool:
        """Whether all have sent all."""
        return not self._joining and all(node.is_sent for node in self.nodes)

    def check(self) -> None:
        """SocketError when the server closed a socket, or the thread has failed."""
        if self.failure:
            raise SocketError(f"the load generator failed: {self.failure!r}") from self.failure
        lost = [node for node in self.nodes if node.closed_by_server]
        if lost:
            how = lost[0].closed_by_server
            raise SocketError(f"{len(lost)} of {len(self.nodes)} sockets were lost: {how}")

    def join(self, node: Node) -> None:
        """Let a node that has shaken hands send from now on."""
        self._joining.append(node)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def finish(self) -> None:
        """Return when all was sent."""
        while not self.is_sent:
            sleep(LOOK_S)
            self.check()

    def close(self) -> None:
        """Say goodbye on every socket and wait for the server's answers; SocketError when one fails to come."""
        self.stop()
        until = perf_counter() + CLOSE_TIMEOUT_S
        for node in self.nodes:
            node.close()
            self._write(node, perf_counter())
        while (waiting := [node for node in self.nodes if not node.is_over]) and perf_counter() < until:
            self._turn(TICK_S)
        self.abandon()
        if waiting:
            raise SocketError(f"{len(waiting)} of {len(self.nodes)} goodbyes were not answered in {CLOSE_TIMEOUT_S} s")

    def stop(self) -> None:
        """End the thread; sockets stay open."""
        self._is_stopping = True
        if self._thread.is_alive():
            self._thread.join()

    def abandon(self) -> None:
        """End the thread, and close the sockets without a word."""
        self.stop()
        for node in [*self.nodes, *self._joining]:
            with suppress(OSError):
                node.end.close()
        self._selector.close()

    def _run(self) -> None:
        self.began_at = perf_counter()
        try:
            while not self._is_stopping:
                self._turn(TICK_S)
        except BaseException as error:  # the thread that waits is to say so
            self.failure = error

    def _turn(self, patience_s: float) -> None:
        while self._joining:
            self._register(self._joining.popleft())
        began = perf_counter()
        ready = self._selector.select(patience_s)
        now = perf_counter()
        self.held_s += now - began if self._waiting else 0
        for key, events in ready:
            if events & selectors.EVENT_READ:
                key.data.read()
            self._write(key.data, now)
        if now >= self._next_tick:
            self._next_tick = now + TICK_S
            for node in list(self._by_clock):
                self._write(node, now)

    def _register(self, node: Node) -> None:
        self.nodes.append(node)
        node.began_at = perf_counter()
        self._selector.register(node.end, selectors.EVENT_READ, node)
        self._wanted[node] = selectors.EVENT_READ
        self._write(node, perf_counter())

    def _write(self, node: Node, now: float) -> None:
        is_taken = node.write(now)
        if node.is_over:
            self._forget(node)
            return
        has_more = not (node.is_sent or node.is_closing)
        # A node that keeps a rate is written to by the clock, as long as the server takes what it sends.
        self._by_clock.discard(node)
        if is_taken and has_more and node.rate_per_s:
            self._by_clock.add(node)
        if not is_taken or (has_more and not node.rate_per_s):
            self._want(node, selectors.EVENT_READ | selectors.EVENT_WRITE)
            self._waiting.add(node)
        else:
            self._want(node, selectors.EVENT_READ)
            self._waiting.discard(node)

    def _want(self, node: Node, wanted: int) -> None:
        if wanted != self._wanted[node]:
            self._selector.modify(node.end, wanted, node)
            self._wanted[node] = wanted

    def _forget(self, node: Node) -> None:
        self._by_clock.discard(node)
        self._waiting.discard(node)
        if self._wanted.pop(node, None):
            self._selector.unregister(node.end)


class Sink:
    """A server that shakes hands, and reads what it is sent into nothing; `received_bytes` is how much that was."""

    def __init__(self) -> None:
        self.received_bytes = 0
        self._server = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._selector = selectors.DefaultSelector()
        self._is_stopping = False
        self._thread = Thread(target=self._run, daemon=True)
        self.address: tuple[str, int] = self._server.getsockname()

    def __enter__(self) -> "Sink":
        self._selector.register(self._server, selectors.EVENT_READ)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_stopping = True
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    def _run(self) -> None:
        buffer = bytearray(SINK_BYTES)
        while not self._is_stopping:
            for key, _ in self._selector.select(TICK_S):
                if key.fileobj is self._server:
                    self._welcome()
                else:
                    self._swallow(key.fileobj, buffer)  # type: ignore[arg-type]

    def _welcome(self) -> None:
        end, _ = self._server.accept()
        request = b""
        while END not in request:
            request += end.recv(4096)
        end.sendall(b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: " + ACCEPTED + END)
        self._selector.register(end, selectors.EVENT_READ)

    def _swallow(self, end: socket.socket, buffer: bytearray) -> None:
        size = end.recv_into(buffer)
        self.received_bytes += size
        if not size:
            self._selector.unregister(end)
            end.close()
