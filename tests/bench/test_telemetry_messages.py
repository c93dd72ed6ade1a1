"""What the benchmark of telemetry sends: messages like a node's, the same ones each time."""

import re
from collections import Counter
from datetime import UTC, datetime

import orjson
import pytest

from bench.telemetry_messages import (
    MIX,
    NETWORK,
    PERIOD,
    kind,
    kinds,
    message,
    peer_id,
    reel,
    server_frames,
    time_of,
)

AT_MS = 1_767_225_600_123
TS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}\+00:00")
MASKED_TEXT = b"\x81\xfe"


def test_messages_have_the_size_of_a_nodes() -> None:
    sizes = [len(message(socket, number)) for socket in (0, 7, 5999) for number in range(PERIOD + 1)]
    assert min(sizes) >= 180
    assert max(sizes) <= 430


def test_a_message_is_json_with_a_time_of_nanoseconds() -> None:
    for number in range(200):
        said = orjson.loads(message(3, number))
        assert (said["msg"], said["level"]) == (kind(number), "INFO")
        assert TS.fullmatch(said["ts"])


def test_a_node_says_first_who_it_is() -> None:
    said = orjson.loads(message(3, 0))
    assert said["msg"] == "system.connected"
    assert said["network_id"] == peer_id(3) != peer_id(4)
    assert kinds(10 * PERIOD)["system.connected"] == 1


def test_the_same_socket_says_the_same_and_another_one_something_else() -> None:
    assert message(3, 41) == message(3, 41) == message(3, PERIOD + 41)
    assert len({message(socket, number) for socket in range(3) for number in range(PERIOD + 1)}) == 3 * (PERIOD + 1)


def test_each_hundred_messages_are_of_the_same_mix() -> None:
    assert sum(MIX.values()) == 100
    for first in (1, 301):
        assert Counter(kind(number) for number in range(first, first + 100)) == MIX


@pytest.mark.parametrize("count", [0, 1, 2, 101, 102, 12_345])
def test_how_many_are_of_which_kind_is_known_beforehand(count: int) -> None:
    assert kinds(count) == Counter(kind(number) for number in range(count))


def test_a_node_reports_about_one_or_two_others_that_are_there_too() -> None:
    names = {peer_id(number) for number in range(NETWORK)}
    numbers = [number for number in range(200) if kind(number) == "system.network_state"]
    states = [orjson.loads(message(3, number))["state"] for number in numbers]
    assert {state["peerId"] for state in states} == {peer_id(3)}
    known = [state["peerset"]["nodes"] for state in states]
    assert {len(nodes) for nodes in known} == {1, 2}
    assert names - {peer_id(3)} >= {name for nodes in known for name in nodes}


def test_profiled_calls_have_a_target_a_name_and_a_time() -> None:
    number = next(number for number in range(200) if kind(number) == "tracing.profiling")
    said = orjson.loads(message(3, number))
    assert all(isinstance(said[name], str) for name in ("target", "name", "time"))


def test_what_is_sent_is_the_messages_with_their_times() -> None:
    frames = reel(3, 10 * PERIOD)
    sent, at_ms, total = [], AT_MS, 2 * PERIOD + 5
    while len(sent) < total:
        chunk, taken = frames.chunk(len(sent), total - len(sent), at_ms)
        found = unmasked(bytes(chunk))
        assert len(found) == taken > 0
        for number, text in enumerate(found, len(sent)):
            ts = orjson.loads(text)["ts"]
            assert message(3, number, ts) == text
            assert datetime.fromisoformat(ts) == time_of(number, at_ms)
        sent += found
        at_ms += 1
    times = [orjson.loads(text)["ts"] for text in sent]
    assert times == sorted(set(times))
    assert datetime.fromisoformat(times[0]).timestamp() == pytest.approx(AT_MS / 1000, abs=0.001)


def test_a_chunk_is_not_longer_than_asked_for_nor_than_64_kib() -> None:
    frames = reel(0, PERIOD)
    assert frames.chunk(0, 5, AT_MS)[1] == 1
    assert frames.chunk(1, 5, AT_MS)[1] == 5
    chunk, taken = frames.chunk(1, PERIOD, AT_MS)
    assert 50_000 < len(chunk) <= 1 << 16
    assert frames.chunk(1 + taken, PERIOD, AT_MS + 1)[1] > 0


def test_a_time_keeps_its_milliseconds() -> None:
    assert time_of(1, AT_MS) == datetime(2026, 1, 1, 0, 0, 0, 123_000, tzinfo=UTC)


def test_frames_of_a_server_are_told_apart_and_half_ones_are_left() -> None:
    stream = b"\x89\x02hi" + b"\x82\x7e\x01\x00" + bytes(256) + b"\x88\x02\x03\xe8" + b"\x89\x05hal"
    found = [(opcode, len(payload)) for opcode, payload, _ in server_frames(stream)]
    assert found == [(9, 2), (2, 256), (8, 2)]
    *_, (_, _, end) = server_frames(stream)
    assert stream[end:] == b"\x89\x05hal"


def unmasked(stream: bytes) -> list[bytes]:
    """The texts of a client's frames of more than 125 bytes, whose masks are zeros."""
    texts = []
    while stream:
        assert stream[:2] == MASKED_TEXT
        assert stream[4:8] == bytes(4)
        end = 8 + int.from_bytes(stream[2:4], "big")
        texts.append(stream[8:end])
        stream = stream[end:]
    return texts
