"""Rows of peer_logs in Postgres' binary form of COPY; pure."""

from collections.abc import Sequence
from struct import Struct

from resolvers.telemetry.nodes import LogRow

COLUMNS = ("id", "ts", "peer_id", "connection_id", "is_audit", "type", "target", "message")
_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"
_HEAD = Struct(">hiqiq").pack  # the number of columns, then the first two, each after its length
_JSONB = Struct(">ib").pack  # the length, and the version of jsonb's binary form, which is 1
_EPOCH_US = 946_684_800_000_000  # Postgres counts from 2000 on


def encoded(rows: Sequence[LogRow], first_id: int) -> bytes:
    """All that COPY … WITH (FORMAT binary) wants to be sent, with ids from `first_id` on."""
    parts = [_SIGNATURE]
    for id_, (node, ts_us, type_, target, body) in enumerate(rows, first_id):
        head = _HEAD(len(COLUMNS), 8, id_, 8, ts_us - _EPOCH_US)
        parts += (head, node.columns, type_, target, _JSONB(len(body) + 1, 1), body)
    parts.append(_END)
    return b"".join(parts)
