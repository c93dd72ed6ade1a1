"""Where nodes send their messages: websockets at / and /audit."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from hmac import compare_digest
from ipaddress import IPv4Network, IPv6Network, ip_address
from time import time_ns
from typing import Any, Protocol

from starlette.datastructures import Headers, QueryParams
from starlette.routing import WebSocketRoute
from starlette.types import Receive, Scope, Send

from resolvers.errors import Overloaded
from resolvers.telemetry.nodes import LogRow, Node, NodeSocket

PINGED_AT_ONCE = 250  # sockets, before others get their turn
TICKS = 10  # of a heartbeat: a silent socket is noticed that much sooner


class Link(Protocol):
    """A socket as the server hands it out; gateway/message_socket.py has the real one."""

    heard_at: float

    def take_over(self, take: Callable[[list[bytes]], None], max_bytes: int) -> None:
        """Have messages handed to a function."""

    def ping(self) -> None:
        """Ask for a sign of life."""

    def pause(self) -> None:
        """Read nothing more."""

    def resume(self) -> None:
        """Go on reading."""

    def close(self, code: int, reason: str = "") -> None:
        """Begin the closing handshake."""


class Writer(Protocol):
    """Who stores what is sent; workers/log_writer.py has the real one."""

    def open(self, sender: Any) -> Any:
        """A queue for a new socket."""

    def close(self, queue: Any, nodes: list[Node]) -> None:
        """The socket is gone."""

    def changed(self, node: Node) -> None:
        """The row of a node has to be written."""

    def submit(self, queue: Any, rows: list[LogRow]) -> None:
        """Take rows to be stored."""

    @property
    def is_crowded(self) -> bool:
        """Whether too many rows of nodes wait for there to be more."""


@dataclass(frozen=True, slots=True)
class IngestRules:
    """Who may send, how much at once, and when a silent socket is closed; `networks` of None are all."""

    max_bytes: int
    heartbeat_s: float
    timeout_s: float
    networks: tuple[IPv4Network | IPv6Network, ...] | None = None
    token: str | None = None

    def allow(self, scope: Scope) -> bool:
        """Whether this client may send."""
        return self._is_near(scope) and (self.token is None or _shows(scope, self.token))

    def _is_near(self, scope: Scope) -> bool:
        if self.networks is None:
            return True
        try:
            address = ip_address((scope.get("client") or ("", 0))[0])
        except ValueError:
            return False
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self.networks)


class Ingest:
    """Takes what nodes send. `counts` are of messages, bytes, sockets opened and closed, and those of NodeSocket."""

    def __init__(self, writer: Writer, new_id: Callable[[], int], rules: IngestRules, counts: Counter[str]) -> None:
        self.writer = writer
        self.new_id = new_id
        self.rules = rules
        self.counts = counts
        self._sockets: set[_Socket] = set()

    def __len__(self) -> int:
        return len(self._sockets)

    def routes(self) -> list[WebSocketRoute]:
        """The exact paths; over HTTP they are something else, or nothing."""
        audit = _Endpoint(self, is_audit=True)
        return [
            WebSocketRoute("/", _Endpoint(self, is_audit=False)),
            WebSocketRoute("/audit", audit),
            WebSocketRoute("/audit/", audit),
        ]

    def nodes(self) -> list[Node]:
        """Those whose sockets are open."""
        return [node for socket in self._sockets for node in socket.nodes.nodes]

    async def beat(self) -> None:
        """Ping all sockets at each heartbeat, and close those that have been silent for too long, until cancelled."""
        clock, tick_s = asyncio.get_running_loop().time, self.rules.heartbeat_s / TICKS
        while True:
            for tick in range(TICKS):
                began_s = clock()
                await asyncio.sleep(tick_s)
                if clock() - began_s > tick_s + self.rules.timeout_s / 2:
                    self._hear_all()
                await self._look_after_all(is_heartbeat=tick == TICKS - 1)

    async def serve(self, socket: "_Socket", receive: Receive, send: Send) -> None:
        """Take messages until the socket is closed."""
        self._sockets.add(socket)
        self.counts["opened"] += 1
        try:
            await send({"type": "websocket.accept"})
            while (await receive())["type"] != "websocket.disconnect":
                pass
        finally:
            self._sockets.discard(socket)
            self.counts["closed"] += 1
            self.writer.close(socket.queue, list(socket.nodes.nodes))

    def _hear_all(self) -> None:
        """This process stood still: who could not be heard meanwhile was not silent."""
        for socket in self._sockets:
            socket.link.heard_at = asyncio.get_running_loop().time()

    async def _look_after_all(self, *, is_heartbeat: bool) -> None:
        deadline = asyncio.get_running_loop().time() - self.rules.timeout_s
        for number, socket in enumerate(list(self._sockets), 1):
            if socket.link.heard_at < deadline and not socket.is_paused:
                socket.link.close(1001, "no sign of life")
            elif is_heartbeat:
                socket.link.ping()  # also where nothing is read: what is written shows whether a client has gone
            if number % PINGED_AT_ONCE == 0:
                await asyncio.sleep(0)


class _Socket:
    """A socket of one or more nodes, as a sender of rows."""

    __slots__ = ("_ingest", "is_paused", "link", "nodes", "queue")

    def __init__(self, ingest: Ingest, link: Link, nodes: NodeSocket) -> None:
        self._ingest = ingest
        self.link = link
        self.nodes = nodes
        self.is_paused = False
        link.take_over(self.take, ingest.rules.max_bytes)
        self.queue = ingest.writer.open(self)

    def take(self, frames: list[bytes]) -> None:
        """Messages have come."""
        counts = self._ingest.counts
        counts["messages"] += len(frames)
        counts["bytes"] += sum(map(len, frames))
        self._ingest.writer.submit(self.queue, self.nodes.rows(frames, time_ns() // 1000))

    def pause(self) -> None:
        """Read nothing more."""
        self.is_paused = True
        self.link.pause()

    def resume(self) -> None:
        """Go on reading."""
        self.is_paused = False
        self.link.resume()


class _Endpoint:
    """An ASGI application for one path."""

    def __init__(self, ingest: Ingest, *, is_audit: bool) -> None:
        self._ingest = ingest
        self._is_audit = is_audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One socket, from its handshake to its end."""
        ingest = self._ingest
        if not ingest.rules.allow(scope):
            ingest.counts["not_allowed"] += 1
            await send({"type": "websocket.close"})  # which before the handshake is 403
            return
        try:
            if ingest.writer.is_crowded:
                raise Overloaded("too many nodes have come and gone while the database was away")
            socket = _Socket(ingest, scope["extensions"]["podium.messages"], self._nodes(scope))
        except Overloaded:
            ingest.counts["overloaded"] += 1
            await send({"type": "websocket.http.response.start", "status": 503, "headers": []})
            await send({"type": "websocket.http.response.body", "body": b""})
            return
        await ingest.serve(socket, receive, send)

    def _nodes(self, scope: Scope) -> NodeSocket:
        return NodeSocket(
            ip_addr=_address(scope),
            is_audit=self._is_audit,
            new_id=self._ingest.new_id,
            changed=self._ingest.writer.changed,
            counts=self._ingest.counts,
        )


def _address(scope: Scope) -> str:
    host, port = scope.get("client") or ("", 0)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _shows(scope: Scope, token: str) -> bool:
    header = Headers(scope=scope).get("authorization", "")
    shown = header.removeprefix("Bearer ") if header else QueryParams(scope["query_string"]).get("token", "")
    return compare_digest(shown.encode(), token.encode())
