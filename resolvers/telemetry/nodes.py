"""Nodes that send, and the sockets that they share: who they are, as they tell it, and what is to be stored of them."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from datetime import UTC, datetime
from re import ASCII, compile
from struct import Struct
from typing import Any

from resolvers.errors import Overloaded
from resolvers.telemetry.messages import (
    MAX_COLUMN_LENGTH,
    MAX_PEER_ID_LENGTH,
    Message,
    Refused,
    is_wrapped,
    micros_of,
    read_message,
)

MAX_NODES = 256  # that share one socket
_IDENTITY = ("name", "chain", "version", "implementation")
_NUMBER = compile(r"[+-]?\d{1,18}", ASCII)
_TO_BE_SENT = Struct(">iqiqi?")
_LENGTH = Struct(">i")
_NULL = _LENGTH.pack(-1)
MAX_NAME_LENGTH = 256
MAX_REMEMBERED = 10_000


class Node:
    """A node's connection: the row of it, as far as is known, and whether it has to be written (again).

    `id` is the connection's key, `peer_key` that of the peer, 0 until the database has given it one.
    """

    __slots__ = (
        *("id", "ip_addr", "is_audit", "opened_at", "is_closed", "has_logs", "peer_id", "peer_key", "columns"),
        *("name", "chain", "version", "implementation", "authority", "startup_time", "has_unidentified_logs"),
    )

    def __init__(self, *, id: int, ip_addr: str, is_audit: bool) -> None:
        self.id = id
        self.ip_addr = ip_addr
        self.is_audit = is_audit
        self.opened_at = datetime.now(UTC)
        self.is_closed = self.has_logs = self.has_unidentified_logs = False
        self.peer_id: str | None = None
        self.name = self.chain = self.version = self.implementation = None
        self.authority: bool | None = None
        self.startup_time: int | None = None
        self.belongs_to(0)

    def belongs_to(self, peer_key: int) -> None:
        """The peer has this key; `columns` are peer_id, connection_id and is_audit in Postgres' binary form of COPY."""
        self.peer_key = peer_key
        self.columns = _TO_BE_SENT.pack(8, peer_key, 8, self.id, 1, self.is_audit)

    def learn(self, said: dict[str, Any]) -> bool:
        """Take from a message who the node is, if it says so; whether it did."""
        if said.get("msg") == "system.connected" and _is_peer_id(said.get("network_id")):
            self.peer_id = said["network_id"]
            self._learn_more(said)
            return True
        for name in ("state", "network_state"):
            state = said.get(name)
            if type(state) is dict and _is_peer_id(state.get("peerId")):
                self.peer_id = state["peerId"]
                return True
        return False

    def _learn_more(self, said: dict[str, Any]) -> None:
        for name in _IDENTITY:
            value = said.get(name)
            setattr(self, name, value[:MAX_NAME_LENGTH] if type(value) is str else None)
        authority, startup_time = said.get("authority"), said.get("startup_time")
        self.authority = authority if type(authority) is bool else None
        if type(startup_time) is str and _NUMBER.fullmatch(startup_time):
            self.startup_time = int(startup_time)


# What is stored of a message: its node, its time in microseconds since 1970, the columns type and target in the binary
# form of COPY, and its body. A plain tuple, because a hundred thousand are made in a second.
LogRow = tuple[Node, int, bytes, bytes, bytes]


class NodeSocket:
    """The nodes of one socket. `new_id` makes keys, `changed` is told of nodes whose rows must be written, and `counts`
    are of messages that are refused, by reason, or not stored as they came.
    """

    def __init__(
        self,
        *,
        ip_addr: str,
        is_audit: bool,
        new_id: Callable[[], int],
        changed: Callable[[Node], None],
        counts: Counter[str],
    ) -> None:
        self._new_id = new_id
        self._changed = changed
        self._counts = counts
        self._ip_addr = ip_addr
        self._is_audit = is_audit
        self._first = self._new_node()
        self._nodes: dict[Hashable, Node] = {}

    @property
    def nodes(self) -> Iterator[Node]:
        """Each once; the first is there from the beginning."""
        yield self._first
        yield from (node for node in self._nodes.values() if node is not self._first)

    def rows(self, frames: list[bytes], received_us: int) -> list[LogRow]:
        """What is to be stored of these messages, received at this time; those that cannot be are counted."""
        rows = []
        for frame in frames:
            try:
                rows.append(self._row(read_message(frame), received_us))
            except Refused as refused:
                self._counts[refused.reason] += 1
        return rows

    def _row(self, message: Message, received_us: int) -> LogRow:
        body, value, is_escaped = message
        said, node = value, self._first
        if is_wrapped(value):
            said, node = value["payload"], self._node(value.get("id"))
        if node.peer_id is None and node.learn(said):
            self._changed(node)
        ts_us = micros_of(value.get("ts"))
        if ts_us is None:
            ts_us = received_us
            self._counts["without_time"] += 1
        if is_escaped:
            self._counts["escaped"] += 1
        return node, ts_us, _column(said.get("msg")), _column(said.get("target")), body

    def _node(self, key: Any) -> Node:
        """The node with this id on the socket; the first one that shows an id is the one that the socket began with."""
        key = key if type(key) is int or (type(key) is str and len(key) <= MAX_NAME_LENGTH) else None
        node = self._nodes.get(key)
        if node is None:
            if len(self._nodes) >= MAX_NODES:
                raise Refused("too_many_nodes")
            node = self._nodes[key] = self._another_node() if self._nodes or self._first.peer_id else self._first
        return node

    def _another_node(self) -> Node:
        try:
            return self._new_node()
        except Overloaded:  # no key can be made: only this message is refused, and not its socket
            raise Refused("too_many_nodes") from None

    def _new_node(self) -> Node:
        node = Node(id=self._new_id(), ip_addr=self._ip_addr, is_audit=self._is_audit)
        self._changed(node)
        return node


def _is_peer_id(value: Any) -> bool:
    return type(value) is str and 1 <= len(value) <= MAX_PEER_ID_LENGTH


_columns: dict[Any, bytes] = {}


def _column(value: Any) -> bytes:
    """A text column, cut to what indexes take, in the binary form of COPY; NULL for anything but a text."""
    if type(value) is not str:
        return _NULL
    column = _columns.get(value)
    if column is None:
        text = value[:MAX_COLUMN_LENGTH].encode()
        column = _LENGTH.pack(len(text)) + text
        if len(value) <= MAX_COLUMN_LENGTH:
            if len(_columns) >= MAX_REMEMBERED:
                _columns.clear()
            _columns[value] = column
    return column
