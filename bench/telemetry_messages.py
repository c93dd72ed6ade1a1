"""Messages like those of a node: the same for the same socket and number, but for their times, and ready to be sent."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

import orjson

from bench.subscribers import frame

PERIOD = 1000  # messages of a socket, after which their contents repeat, but not their times
CHUNK_BYTES = 1 << 16
NETWORK = 50  # nodes that know of each other
CONNECTED, NETWORK_STATE = "system.connected", "system.network_state"
# How many of a hundred messages are of which kind, beside the one that a node says who it is with.
MIX = {
    "tracing.profiling": 35,
    "system.interval": 15,
    "block.import": 12,
    "txpool.import": 10,
    "afg.received_prevote": 8,
    "afg.received_precommit": 6,
    "notify.finalized": 4,
    "afg.finalized_blocks_up_to": 3,
    "prepared_block_for_proposing": 2,
    NETWORK_STATE: 2,
    "afg.authority_set": 1,
    "babe.checked_and_importing": 1,
    "slots.starting_authorship": 1,
}
TRACED = (
    ("pallet_babe", "make_epoch_digest"),
    ("frame_executive", "execute_block"),
    ("frame_system", "<AccountNonce<T>>::get"),
    ("sc_transaction_pool", "validate_transaction"),
)

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_KINDS = [kind for kind, share in MIX.items() for _ in range(share)]
_NO_TIME = "2020-01-01T00:00:00.000000000+00:00"
_MS_PLACES = len("2020-01-01T00:00:00.000")
_STEP_US = 4  # between the times of two messages, which start anew with each millisecond
_STEPS = 1000 // _STEP_US


def peer_id(socket: int) -> str:
    """What the node of a socket calls itself."""
    return "Qm" + _base58(Random(f"peer {socket}"), 44)


def kind(number: int) -> str:
    """The `msg` of a socket's message of that number; the first is number 0."""
    # 37 and 100 have no common divisor: a hundred messages have each place of the mix once, well shuffled.
    return CONNECTED if number == 0 else _KINDS[number * 37 % len(_KINDS)]


def kinds(count: int) -> Counter[str]:
    """How many of a socket's first messages are of which kind."""
    rounds, rest = divmod(max(count - 1, 0), len(_KINDS))
    found = Counter({name: share * rounds for name, share in MIX.items()}) if rounds else Counter[str]()
    found.update(kind(number) for number in range(1, rest + 1))
    return found + Counter({CONNECTED: int(count > 0)})


def message(socket: int, number: int, ts: str = _NO_TIME) -> bytes:
    """A socket's message of that number, of 180 to 430 bytes."""
    number = _place(number)
    said = kind(number)
    about = _CONTENTS[said](Random(f"{socket} {number}"), socket, number)
    return orjson.dumps({"msg": said, "level": "INFO", "ts": ts, **about})


def millisecond(at_ms: int) -> bytes:
    """A time up to its milliseconds, as it is in messages."""
    seconds, ms = divmod(at_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ms:03d}".encode()


@dataclass(slots=True)
class Reel:
    """All messages that a socket repeats, as frames one after the other, whose times are set just before they are sent.

    `ends` and `times` are where each frame ends, and where its time begins. The first is system.connected, sent once.
    """

    data: bytearray
    ends: list[int]
    times: list[int]

    def chunk(self, number: int, count: int, at_ms: int) -> tuple[memoryview, int]:
        """Frames from a number on, `count` and about 64 KiB at most, all at that millisecond; and how many they are."""
        first = _place(number)
        begin = self.ends[first - 1] if first else 0
        last = first
        stamp = millisecond(at_ms)
        end_of_all = min(first + count, first + _STEPS - (first - 1) % _STEPS)  # PERIOD is a multiple of _STEPS
        while last < end_of_all and self.ends[last] - begin <= CHUNK_BYTES:
            time = self.times[last]
            self.data[time : time + _MS_PLACES] = stamp
            last += 1
        return memoryview(self.data)[begin : self.ends[last - 1]], last - first


def reel(socket: int, count: int) -> Reel:
    """What a socket needs to send so many messages."""
    made = Reel(bytearray(), [], [])
    for number in range(min(count, PERIOD + 1)):
        text = message(socket, number, _NO_TIME[:_MS_PLACES] + f"{_within_ms_us(number):03d}{number % 1000:03d}+00:00")
        framed = frame(text)
        made.times.append(len(made.data) + framed.index(b'"ts":"') + len(b'"ts":"'))
        made.data += framed
        made.ends.append(len(made.data))
    return made


def time_of(number: int, at_ms: int) -> datetime:
    """The time of a message that was sent at a millisecond, as exact as it is stored."""
    return datetime.fromtimestamp(at_ms // 1000, UTC) + timedelta(
        milliseconds=at_ms % 1000, microseconds=_within_ms_us(_place(number))
    )


def server_frames(stream: bytes) -> Iterator[tuple[int, bytes, int]]:
    """The server's complete frames in a stream: opcode, payload, and where each ends."""
    at = 0
    while at + 2 <= len(stream):
        size, start = stream[at + 1] & 0x7F, at + 2
        if size == 126:
            size, start = int.from_bytes(stream[at + 2 : at + 4], "big"), at + 4
        elif size == 127:
            size, start = int.from_bytes(stream[at + 2 : at + 10], "big"), at + 10
        if start + size > len(stream):
            return
        yield stream[at] & 0x0F, stream[start : start + size], start + size
        at = start + size


def _place(number: int) -> int:
    """Which of the messages on the reel one is."""
    return (number - 1) % PERIOD + 1 if number else 0


def _within_ms_us(number: int) -> int:
    return (number - 1) % _STEPS * _STEP_US


def _base58(rng: Random, size: int) -> str:
    return "".join(rng.choices(_BASE58, k=size))


def _hash(rng: Random) -> str:
    return f"0x{rng.getrandbits(256):064x}"


def _account(rng: Random) -> str:
    return "5" + _base58(rng, 47)


def _connected(rng: Random, socket: int, number: int) -> dict[str, object]:
    return {
        "name": f"node-{socket}",
        "chain": "Development",
        "config": "",
        "version": "2.0.0-x86_64-linux-gnu",
        "authority": socket % 2 == 0,
        "network_id": peer_id(socket),
        "startup_time": str(1_597_829_900_000 + socket),
        "implementation": "Substrate Node",
    }


def _interval(rng: Random, socket: int, number: int) -> dict[str, object]:
    return {
        "peers": rng.randrange(1, 50),
        "height": 1_000_000 + number,
        "best": f"0x{rng.getrandbits(32):08x}",
        "txcount": rng.randrange(100),
        "cpu": round(rng.uniform(1, 400), 4),
        "memory": rng.randrange(1_000_000, 4_000_000),
        "finalized_height": 999_998 + number,
        "finalized_hash": f"0x{rng.getrandbits(32):08x}",
        "bandwidth_upload": rng.randrange(10_000),
        "bandwidth_download": rng.randrange(10_000),
        "disk_read_per_sec": rng.randrange(3_000_000),
        "disk_write_per_sec": rng.randrange(3_000_000),
        "used_state_cache_size": rng.randrange(4_000_000),
    }


def _imported_block(rng: Random, socket: int, number: int) -> dict[str, object]:
    return {"best": _hash(rng), "height": 1_000_000 + number, "origin": rng.choice(("NetworkInitialSync", "Own"))}


def _profiling(rng: Random, socket: int, number: int) -> dict[str, object]:
    target, name = rng.choice(TRACED)
    values = f'{{"block": {1_000_000 + number}, "extrinsics": {rng.randrange(100)}}}'
    return {
        "name": name,
        "time": str(rng.randrange(500, 9_000_000)),
        "target": target,
        "line": rng.randrange(1000),
        "values": values,
    }


def _transactions(rng: Random, socket: int, number: int) -> dict[str, object]:
    return {"ready": rng.randrange(1000, 10_000), "future": rng.randrange(100), "hash": _hash(rng)}


def _vote(rng: Random, socket: int, number: int) -> dict[str, object]:
    about = {"target_hash": _hash(rng), "target_number": str(1_000_000 + number)}
    return {**about, "voter": f'"{_account(rng)}"'}


def _block(rng: Random, socket: int, number: int) -> dict[str, object]:
    return {"hash": _hash(rng), "best": f"0x{rng.getrandbits(32):08x}", "number": str(1_000_000 + number)}


def _authorities(rng: Random, socket: int, number: int) -> dict[str, object]:
    both = orjson.dumps([_account(rng), _account(rng)]).decode()
    return {"authorities": both, "authority_id": _account(rng), "authority_set_id": str(number)}


def _header(rng: Random, socket: int, number: int) -> dict[str, object]:
    return {"pre_header": f"Header {{ parent_hash: {_hash(rng)}, number: {1_000_000 + number} }}"}


def _slot(rng: Random, socket: int, number: int) -> dict[str, object]:
    return {"slot_num": 527_168_305 + number, "timestamp": 1_581_504_915_000 + 6000 * number, "parent": _hash(rng)}


def _network_state(rng: Random, socket: int, number: int) -> dict[str, object]:
    known = [peer_id((socket + step) % NETWORK) for step in rng.sample(range(1, NETWORK), rng.choice((1, 2)))]
    nodes = {name: {"connected": rng.random() < 0.8, "reputation": rng.randrange(-500, 500)} for name in known}
    return {"state": {"peerId": peer_id(socket), "peerset": {"nodes": nodes, "message_queue": 0}}}


_CONTENTS = {
    CONNECTED: _connected,
    "tracing.profiling": _profiling,
    "system.interval": _interval,
    "block.import": _imported_block,
    "txpool.import": _transactions,
    "afg.received_prevote": _vote,
    "afg.received_precommit": _vote,
    "notify.finalized": _block,
    "afg.finalized_blocks_up_to": _block,
    "prepared_block_for_proposing": _block,
    NETWORK_STATE: _network_state,
    "afg.authority_set": _authorities,
    "babe.checked_and_importing": _header,
    "slots.starting_authorship": _slot,
}
