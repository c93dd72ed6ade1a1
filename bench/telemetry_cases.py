"""The cases of telemetry: bursts, a steady rate, goodbyes, a database that is away, fairness and idle sockets."""

import argparse
import asyncio
import os
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from signal import SIGKILL
from time import perf_counter, time
from typing import Any

import asyncpg
import psutil  # type: ignore[import-untyped]

from bench.server import Filled
from bench.telemetry_load import Senders, Sink
from bench.telemetry_messages import peer_id
from bench.telemetry_node import Node, SocketError
from bench.telemetry_run import Row, Run, running, sending
from bench.telemetry_stored import OPEN, Delay, LostError, asking, until_stored, verify, watching

NODES = 50
PACED_PER_S = 20_000
OUTAGE_PER_S, BEFORE_S, AFTER_S = 2_000, 5, 15
LATE_NODES, LATE_MESSAGES, LATE_PER_S = 5, 200, 40
OUTAGE_PATIENCE_S = 300
TRICKLE_PER_S = 10
CAUGHT_UP_S = 1.0
ANY_NUMBER = 1 << 40
FIRST_IDLE = 1000
_BEGINNING = (NODES, 1)  # of a new database, which has no WAL files yet that it could use again


async def generator(database: Filled, directory: Path, given: argparse.Namespace) -> AsyncIterator[Row]:
    """How fast this client alone is: what it sends is read into nothing."""
    for sockets in (NODES, 1):
        with Sink() as sink:
            nodes = [Node(number, given.messages // sockets) for number in range(sockets)]
            for node in nodes:
                node.open(sink.address)
            senders, began = Senders(nodes), perf_counter()
            senders.start()
            await asyncio.to_thread(senders.finish)
            per_s = senders.sent / (perf_counter() - began)
            senders.abandon()
        yield Row(f"generator into a sink, {_sockets(sockets)}", {"messages_per_s": per_s})


async def burst(database: Filled, directory: Path, given: argparse.Namespace) -> AsyncIterator[Row]:
    """As fast as they are taken, until all are stored."""
    for case in (_BEGINNING, *((sockets, workers) for workers in (1, 2) for sockets in (NODES, 1))):
        sockets, workers = case
        name = f"burst, {_sockets(sockets)}, {_processes(workers)}"
        if case is _BEGINNING:
            name = f"burst, {_sockets(sockets)}, new database"
        async with running(database, directory, name, "--workers", str(workers)) as run:
            yield await row(name, _burst(run, sockets, given.messages))


async def _burst(run: Run, sockets: int, messages: int) -> dict[str, Any]:
    async with sending(run, [Node(number, messages // sockets) for number in range(sockets)]) as senders:
        began = run.begin()
        senders.start()
        sent_at = await run.sent(senders)
        took_s = await until_stored(run.url, senders.nodes) - began
        memory, used = asdict(run.memory()), run.used_per(senders.sent)
        await asyncio.to_thread(senders.close)
        await verify(run.url, senders.nodes)
    return {
        "messages_per_s": senders.sent / took_s, "stored": senders.sent, "took_s": took_s,
        "sent_s": sent_at - began, "held_s": senders.held_s, **memory, **used,
    }  # fmt: skip


async def paced(database: Filled, directory: Path, given: argparse.Namespace) -> AsyncIterator[Row]:
    """At a steady rate."""
    for workers in (1, 2):
        name = f"paced {PACED_PER_S:,}/s, {_sockets(NODES)}, {_processes(workers)}"
        async with running(database, directory, name, "--workers", str(workers)) as run:
            yield await row(name, _paced(run, given.seconds))


async def _paced(run: Run, seconds: int) -> dict[str, Any]:
    rate_per_s = PACED_PER_S / NODES
    nodes = [Node(number, int(rate_per_s * seconds), rate_per_s=rate_per_s) for number in range(NODES)]
    async with sending(run, nodes) as senders, watching(run.url, peer_id(0)) as watch:
        began = run.begin()
        senders.start()
        took_s = await run.sent(senders) - began
        await until_stored(run.url, nodes)
        memory, used = asdict(run.memory()), run.used_per(senders.sent)
        await asyncio.to_thread(senders.close)
        await verify(run.url, nodes)
    late_ms = max(node.late_s for node in nodes) * 1000
    facts = {"messages_per_s": senders.sent / took_s, "stored": senders.sent, "late_ms": late_ms}
    return facts | await _delays(run.url, None, await watch.delay()) | memory | used


async def disconnect(database: Filled, directory: Path, given: argparse.Namespace) -> AsyncIterator[Row]:
    """As fast as they are taken, and a goodbye right behind."""
    name = f"disconnect, {_sockets(NODES)}"
    async with running(database, directory, name) as run:
        yield await row(name, _disconnect(run, given.many))


async def _disconnect(run: Run, messages: int) -> dict[str, Any]:
    async with sending(run, [Node(number, messages // NODES) for number in range(NODES)]) as senders:
        began = run.begin()
        senders.start()
        sent_at = await run.sent(senders)
        await asyncio.to_thread(senders.close)
        closed_at = perf_counter()
        stored_at = await until_stored(run.url, senders.nodes)
        memory = asdict(run.memory())
        await verify(run.url, senders.nodes)
    return {
        "messages_per_s": senders.sent / (stored_at - began), "stored": senders.sent, "sent_s": sent_at - began,
        "closed_s": closed_at - sent_at, "stored_after_close_s": max(stored_at - closed_at, 0), **memory,
    }  # fmt: skip


async def outage(database: Filled, directory: Path, given: argparse.Namespace) -> AsyncIterator[Row]:
    """At a low rate while Postgres is killed, and away for some time; new sockets meanwhile."""
    for workers in (1, 2):
        name = f"outage of {given.outage:g} s at {OUTAGE_PER_S:,}/s, {_processes(workers)}"
        async with running(database, directory, name, "--workers", str(workers)) as run:
            yield await row(name, _outage(run, given.outage))


async def _outage(run: Run, outage_s: float) -> dict[str, Any]:
    rate_per_s = OUTAGE_PER_S / NODES
    count = int(rate_per_s * (BEFORE_S + outage_s + AFTER_S))
    nodes = [Node(number, count, rate_per_s=rate_per_s) for number in range(NODES)]
    async with sending(run, nodes) as senders:
        senders.start()
        await asyncio.sleep(BEFORE_S)
        await _without_postgres(run, senders, outage_s)
        back_at = perf_counter()
        run.say("Postgres is back")
        caught_up_at = await _caught_up(run, senders)
        await run.sent(senders)
        await until_stored(run.url, senders.nodes)
        memory = asdict(run.memory())
        await asyncio.to_thread(senders.close)
        await verify(run.url, senders.nodes)
    late_s = max(node.late_s for node in senders.nodes)
    new = len(senders.nodes) - NODES
    facts = {"stored": senders.sent, "new_sockets": new, "held_s": senders.held_s, "late_s": late_s}
    return {**facts, "caught_up_s": caught_up_at - back_at, **memory}


async def _without_postgres(run: Run, senders: Senders, outage_s: float) -> None:
    postgres = run.database.postgres
    assert postgres.pid
    os.kill(postgres.pid, SIGKILL)
    await postgres.stop()  # it would be started again at once otherwise
    run.say("Postgres was killed")
    until = perf_counter() + outage_s
    try:
        for number in range(LATE_NODES):
            await asyncio.sleep(outage_s / (LATE_NODES + 1))
            node = Node(NODES + number, LATE_MESSAGES, rate_per_s=LATE_PER_S)
            await asyncio.to_thread(node.open, run.server.address)
            senders.join(node)
            run.tell(senders)
            senders.check()
        await asyncio.sleep(max(0, until - perf_counter()))
    finally:
        await postgres.start()


async def _caught_up(run: Run, senders: Senders) -> float:
    """When all that nodes had sent a second ago was stored."""
    names, until = [peer_id(number) for number in range(NODES)], perf_counter() + OUTAGE_PATIENCE_S
    async with asking(run.url, by_index=True) as stored:
        while perf_counter() < until:
            senders.check()
            with suppress(OSError, asyncpg.PostgresError, TimeoutError):
                newest = await stored.newest(names)
                if senders.is_sent or all(ts and time() - ts.timestamp() < CAUGHT_UP_S for ts in newest):
                    return perf_counter()
            await asyncio.sleep(0.05)
    raise LostError(f"what nodes send is still not stored {OUTAGE_PATIENCE_S} s after Postgres is back")


async def fairness(database: Filled, directory: Path, given: argparse.Namespace) -> AsyncIterator[Row]:
    """One socket as fast as it is taken, and one that says a little."""
    name = f"fairness, {TRICKLE_PER_S}/s beside a firehose"
    async with running(database, directory, name) as run:
        yield await row(name, _fairness(run, given.seconds))


async def _fairness(run: Run, seconds: int) -> dict[str, Any]:
    trickle = Node(1, TRICKLE_PER_S * seconds, rate_per_s=TRICKLE_PER_S)
    firehose = Node(0, ANY_NUMBER)
    async with sending(run, [firehose, trickle]) as senders, watching(run.url, peer_id(1)) as watch:
        began = run.begin()
        senders.start()
        while not trickle.is_sent:
            await asyncio.sleep(1)
            senders.check()
            run.tell(senders)
        per_s = firehose.sent / (perf_counter() - began)
        await asyncio.to_thread(senders.close)
        await until_stored(run.url, senders.nodes)
        memory = asdict(run.memory())
        await verify(run.url, senders.nodes)
    facts = {"firehose_per_s": per_s, "stored": senders.sent}
    return facts | await _delays(run.url, peer_id(1), await watch.delay()) | memory


async def idle(database: Filled, directory: Path, given: argparse.Namespace) -> AsyncIterator[Row]:
    """Many sockets that say who they are, and then only answer pings."""
    name = f"idle, {_sockets(given.idle)}"
    async with running(database, directory, name) as run:
        yield await row(name, _idle(run, given.idle, given.idle_seconds))


async def _idle(run: Run, number: int, seconds: int) -> dict[str, Any]:
    async with sending(run, [Node(one, 1) for one in range(NODES)]) as first:
        first.start()
        await run.sent(first)
        await until_stored(run.url, first.nodes)
        await asyncio.to_thread(first.close)
        before = run.memory().end_mib[0]
        began = perf_counter()
        nodes = [Node(one, 1) for one in range(FIRST_IDLE, FIRST_IDLE + number)]
        async with sending(run, []) as senders:
            senders.start()
            for node in nodes:
                await asyncio.to_thread(node.open, run.server.address)
                senders.join(node)
            opened_s = await run.sent(senders) - began
            run.say(f"{number:,} are open after {opened_s:.1f} s")
            await until_stored(run.url, [*first.nodes, *nodes])
            fresh = run.memory().end_mib[0]
            await _quiet(run, senders, seconds)
            pings, after = min(node.pings for node in nodes), run.memory()
            async with asking(run.url) as stored:
                is_open = (await stored.ask(OPEN))[0][0]
            if is_open != number:
                raise LostError(f"{is_open:,} of {number:,} sockets are open and known by their node")
            await asyncio.to_thread(senders.close)
    per_socket = {"kib_per_socket": (after.end_mib[0] - before) * 1024 / number}
    per_fresh = {"kib_per_fresh_socket": (fresh - before) * 1024 / number}
    return {"opened_s": opened_s, **per_socket, **per_fresh, "pings": pings, "open": is_open, **asdict(after)}


async def _quiet(run: Run, senders: Senders, seconds: int) -> None:
    for second in range(seconds):
        await asyncio.sleep(1)
        senders.check()
        if second % 10 == 9:
            run.say(f"{min(node.pings for node in senders.nodes)} pings on each")


async def _delays(url: str, peer: str | None, seen: Delay) -> dict[str, float]:
    async with asking(url) as stored:
        delays = {"stored": await stored.delay(peer), "seen": seen}
    return {f"{what}_{name}": value for what, delay in delays.items() for name, value in asdict(delay).items()}


async def row(name: str, measured: Coroutine[Any, Any, dict[str, Any]]) -> Row:
    """What a case measures, or what was wrong."""
    try:
        return Row(name, await measured)
    except (SocketError, LostError, OSError, psutil.Error, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return Row(name, {}, f"{type(error).__name__}: {error}")


def _sockets(number: int) -> str:
    return f"{number:,} socket{'s' * (number != 1)}"


def _processes(workers: int) -> str:
    return "1 process" if workers == 1 else f"{workers} workers"
