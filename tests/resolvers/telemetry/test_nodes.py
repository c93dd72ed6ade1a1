"""Who nodes are, as they tell it, and what is to be stored of what they say."""

from collections import Counter
from itertools import count
from typing import Any

import orjson
import pytest

from resolvers.errors import Overloaded
from resolvers.telemetry import nodes
from resolvers.telemetry.nodes import LogRow, Node, NodeSocket

RECEIVED_US = 1_600_000_000_000_000
NULL = b"\xff\xff\xff\xff"
ALL = {
    "name": "Alice",
    "chain": "Development",
    "version": "2.0.0",
    "implementation": "Substrate Node",
    "authority": True,
    "startup_time": "1597829900000",
}


class Heard:
    """A socket, and what it tells of its nodes."""

    def __init__(self, keys: int = 10_000) -> None:
        self.changed: list[Node] = []
        self.counts: Counter[str] = Counter()
        self._ids = count(1)
        self._keys = keys
        self.socket = NodeSocket(
            ip_addr="127.0.0.1:9",
            is_audit=False,
            new_id=self._new_id,
            changed=self.changed.append,
            counts=self.counts,
        )
        self.changed.clear()

    def say(self, *messages: dict[str, Any]) -> list[LogRow]:
        return self.socket.rows([orjson.dumps(message) for message in messages], RECEIVED_US)

    @property
    def names(self) -> list[str | None]:
        return [node.peer_id for node in self.socket.nodes]

    @property
    def first(self) -> Node:
        return next(iter(self.socket.nodes))

    def _new_id(self) -> int:
        if (id_ := next(self._ids)) > self._keys:
            raise Overloaded("no key is left")
        return id_


@pytest.fixture
def heard() -> Heard:
    return Heard()


def connected(peer_id: Any = "QmA", **more: Any) -> dict[str, Any]:
    return {"msg": "system.connected", "network_id": peer_id, **more}


def wrapped(id: Any, **said: Any) -> dict[str, Any]:
    return {"id": id, "payload": said}


def what_is_known(node: Node) -> dict[str, Any]:
    return {name: getattr(node, name) for name in ALL}


def test_a_socket_has_a_node_before_anything_is_said(heard: Heard) -> None:
    assert heard.names == [None]
    assert what_is_known(heard.first) == dict.fromkeys(ALL)


def test_a_node_tells_all_about_itself_when_it_connects(heard: Heard) -> None:
    heard.say(connected(**ALL))
    assert heard.names == ["QmA"]
    assert what_is_known(heard.first) == {**ALL, "startup_time": 1_597_829_900_000}
    assert heard.changed == [heard.first]


@pytest.mark.parametrize("wrong", [None, 1, 1.5, [], {}, ["a"]])
def test_what_is_of_another_type_is_not_learned(heard: Heard, wrong: Any) -> None:
    heard.say(connected(**dict.fromkeys(ALL, wrong)))
    assert what_is_known(heard.first) == dict.fromkeys(ALL)


@pytest.mark.parametrize(
    ("startup_time", "learned"),
    [
        *(("0", 0), ("-5", -5), ("+5", 5), ("9" * 18, 10**18 - 1)),
        *((text, None) for text in ("", " 5", "5 ", "1.5", "1e3", "soon", "\u0665", "9" * 19, "0x1", "5\n")),
        (5, None),
    ],
)
def test_a_start_is_a_number_in_a_text(heard: Heard, startup_time: Any, learned: int | None) -> None:
    heard.say(connected(startup_time=startup_time))
    assert heard.first.startup_time == learned


@pytest.mark.parametrize("state", ["state", "network_state"])
def test_a_node_is_known_by_the_state_of_its_network_too(heard: Heard, state: str) -> None:
    heard.say({"msg": "system.network_state", state: {"peerId": "QmB"}}, connected("QmA", name="Alice"))
    assert (heard.names, heard.first.name) == (["QmB"], None)
    assert heard.changed == [heard.first]


def test_a_later_message_changes_nothing(heard: Heard) -> None:
    heard.say(connected("QmA", name="Alice"), connected("QmB", name="Bob"), {"state": {"peerId": "QmC"}})
    assert (heard.names, heard.first.name) == (["QmA"], "Alice")
    assert len(heard.changed) == 1


@pytest.mark.parametrize("wrong", [None, 7, "", [], {"a": 1}, True, "Q" * 257])
def test_what_is_no_name_is_not_learned_and_the_next_message_counts(heard: Heard, wrong: Any) -> None:
    heard.say(connected(wrong, name="Bob"), {"state": {"peerId": wrong}}, {"state": wrong}, {"network_state": [wrong]})
    assert (heard.names, heard.first.name, heard.changed) == ([None], None, [])
    heard.say(connected("Q" * 256))
    assert heard.names == ["Q" * 256]


@pytest.mark.parametrize(
    "msg", ["System.Connected", "system.connected ", "block.import", None, 1, ["system.connected"]]
)
def test_only_the_message_of_a_connection_tells_the_name(heard: Heard, msg: Any) -> None:
    heard.say({**connected("QmA"), "msg": msg})
    assert heard.names == [None]


def test_a_name_inside_of_a_bare_message_is_not_that_of_its_node(heard: Heard) -> None:
    heard.say({"msg": "a", "payload": connected("QmA")}, {"msg": "a", "data": {"state": {"peerId": "QmB"}}})
    assert heard.names == [None]


def test_long_texts_are_cut(heard: Heard) -> None:
    heard.say(connected(name="n" * 1000, chain="ü" * 256))
    assert (heard.first.name, heard.first.chain) == ("n" * 256, "ü" * 256)


def test_nodes_that_share_a_socket_are_told_apart_by_id(heard: Heard) -> None:
    rows = heard.say(
        wrapped(1, **connected("QmA")),
        wrapped(2, **connected("QmB")),
        wrapped(1, msg="block.import"),
        wrapped(2, msg="tx", state={"peerId": "QmOther"}),
    )
    assert heard.names == ["QmA", "QmB"]
    assert [row[0].peer_id for row in rows] == ["QmA", "QmB", "QmA", "QmB"]
    assert len({node.id for node in heard.socket.nodes}) == 2


def test_the_first_that_shows_an_id_is_the_one_that_the_socket_began_with(heard: Heard) -> None:
    first = heard.first
    rows = heard.say({"msg": "before"}, wrapped(7, msg="a"), {"msg": "bare"}, wrapped(8, msg="b"))
    assert [row[0] is first for row in rows] == [True, True, True, False]


def test_a_bare_name_is_not_taken_from_its_node_by_one_with_an_id(heard: Heard) -> None:
    heard.say(connected("QmA"), wrapped(1, **connected("QmB")))
    assert heard.names == ["QmA", "QmB"]


def test_ids_may_be_numbers_or_texts_and_all_others_are_one(heard: Heard) -> None:
    strange = [None, True, 1.5, [], {}, "x" * 257]
    rows = heard.say(*(wrapped(id_, msg="a") for id_ in (1, "1", *strange)), {"payload": {"msg": "a"}})
    assert len({row[0].id for row in rows}) == 3
    assert len({row[0].id for row in rows[2:]}) == 1


def test_a_wrapped_message_is_stored_whole_and_its_columns_are_those_of_its_payload(heard: Heard) -> None:
    message = {"id": 1, "ts": "1970-01-01T00:00:01Z", "target": "no", "payload": {"msg": "tx", "target": "pool"}}
    ((_, ts_us, type_, target, body),) = heard.say(message)
    assert (ts_us, type_, target) == (1_000_000, b"\0\0\0\2tx", b"\0\0\0\4pool")
    assert orjson.loads(body) == message


@pytest.mark.parametrize("payload", [None, "text", 1, ["msg"], True])
def test_a_payload_that_is_no_object_makes_a_bare_message(heard: Heard, payload: Any) -> None:
    ((node, _, type_, target, _),) = heard.say({"id": 1, "payload": payload})
    assert (node, type_, target) == (heard.first, NULL, NULL)


@pytest.mark.parametrize("value", [None, 1, True, [], {}])
def test_what_is_no_text_has_no_column(heard: Heard, value: Any) -> None:
    ((_, _, type_, target, _),) = heard.say({"msg": value, "target": value})
    assert (type_, target) == (NULL, NULL)


def test_columns_have_the_start_of_a_long_text(heard: Heard) -> None:
    ((_, _, type_, target, _),) = heard.say({"msg": "ü" * 200, "target": "ü" * 200})
    assert type_ == target == b"\0\0\1\0" + "ü".encode() * 128


def test_columns_that_are_remembered_are_few(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "MAX_REMEMBERED", 5)
    monkeypatch.setattr(nodes, "_columns", {})
    rows = heard.say(*({"msg": f"kind {number}"} for number in range(100)))
    assert [row[2][4:].decode() for row in rows] == [f"kind {number}" for number in range(100)]
    assert len(nodes._columns) <= 5


@pytest.mark.parametrize("ts", [None, "", "today", 5, "2020-08-19T10:00:00", []])
def test_a_message_without_a_time_has_that_of_its_receipt_and_is_counted(heard: Heard, ts: Any) -> None:
    rows = heard.say({"msg": "a", "ts": ts}, {"msg": "a"}, {"payload": {"msg": "a", "ts": "2020-08-19T10:00:00Z"}})
    assert [row[1] for row in rows] == [RECEIVED_US] * 3
    assert heard.counts == {"without_time": 3}


def test_what_is_no_message_is_counted_and_takes_none_along(heard: Heard) -> None:
    frames = [b'{"msg":"a"}', b"{", b"[1]", b"7", b"null", b"", b"\xff", b'{"msg":"b"}']
    rows = heard.socket.rows(frames, RECEIVED_US)
    assert [row[2][4:] for row in rows] == [b"a", b"b"]
    assert heard.counts == {"malformed": 3, "no_object": 3, "without_time": 2}


def test_a_socket_has_so_many_nodes_at_most_and_the_others_are_heard_on(heard: Heard) -> None:
    rows = heard.say(*(wrapped(id_, msg="a") for id_ in range(nodes.MAX_NODES + 10)), wrapped(3, msg="b"))
    assert len(rows) == nodes.MAX_NODES + 1
    assert len(list(heard.socket.nodes)) == nodes.MAX_NODES
    assert heard.counts["too_many_nodes"] == 10


def test_when_there_are_no_keys_only_new_nodes_are_refused() -> None:
    heard = Heard(keys=2)
    rows = heard.say(*(wrapped(id_, **connected(f"Qm{id_}")) for id_ in (1, 2, 3, 1)))
    assert [row[0].peer_id for row in rows] == ["Qm1", "Qm2", "Qm1"]
    assert heard.counts["too_many_nodes"] == 1
