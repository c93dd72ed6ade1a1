"""One of the processes of `podium serve --workers`: a gateway that serves the connections its parent hands it."""

import asyncio
import socket
import sys
from collections import deque
from contextlib import suppress
from mmap import mmap
from typing import Any

import structlog
import uvloop
from prometheus_client import Metric

from gateway.app import Gateway, Siblings
from gateway.logs import configure_logs
from gateway.merged_metrics import merged, of_worker
from gateway.server import ServeError, Server, make_gateway, open_gateway
from gateway.worker_line import Job, Line, Report
from resolvers.errors import PodiumError
from resolvers.shared_changes import SharedChanges

TICKS_BETWEEN_REPORTS = 10  # uvicorn's, of which ten are a second
GATHERING_TIMEOUT_S = 1.0

log = structlog.get_logger()


class Parent:
    """Whom a worker tells about itself, and asks about all workers."""

    def __init__(self, line: Line, number: int) -> None:
        self._line = line
        self._number = number
        self._waiting: deque[asyncio.Future[list[list[Metric]]]] = deque()
        self.taken = self.open = 0

    def report(self, families: list[Metric], *, asks: bool = False) -> None:
        """Tell the parent."""
        self._line.send(Report(self.taken, self.open, of_worker(self._number, families), asks))

    async def gather(self, own: list[Metric]) -> list[Metric]:
        """The metrics of all workers, those of the others up to a second old; TimeoutError without an answer."""
        answer: asyncio.Future[list[list[Metric]]] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        self.report(own, asks=True)
        return merged(await asyncio.wait_for(answer, GATHERING_TIMEOUT_S))

    async def listen(self) -> None:
        """Pass on what the parent answers, in the order of the questions, until it has gone."""
        while (sources := await self._line.receive()) is not None:
            answer = self._waiting.popleft()
            if not answer.done():
                answer.set_result(sources)


class WorkerServer(Server):
    """Takes connections that were accepted elsewhere; when no more can come, because the parent is gone, it drains."""

    def __init__(self, gateway: Gateway, parent: Parent, arrivals: socket.socket) -> None:
        super().__init__(gateway)
        self._parent = parent
        self._arrivals = arrivals
        self._arriving: set[asyncio.Task[None]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._arrivals.setblocking(False)
        asyncio.get_running_loop().add_reader(self._arrivals, self._take)

    async def on_tick(self, counter: int) -> bool:
        if counter % TICKS_BETWEEN_REPORTS == 0:
            self._report()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().remove_reader(self._arrivals)
        while self._take():
            pass
        self._arrivals.close()
        await super().shutdown(sockets=sockets)
        self._report()

    def _report(self) -> None:
        self._parent.open = len(self.server_state.connections)
        self._parent.report(self._gateway.metrics.collect())

    def _take(self) -> bool:
        """Take a connection, if there is one; whether more may follow."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self._arrivals, 1, 1)
        except BlockingIOError:
            return False
        if not data:
            asyncio.get_running_loop().remove_reader(self._arrivals)
            self.should_exit = True
        for descriptor in descriptors:
            self._parent.taken += 1
            task = asyncio.create_task(self._serve_connection(socket.socket(fileno=descriptor)))
            self._arriving.add(task)
            task.add_done_callback(self._arriving.discard)
        return bool(data)

    async def _serve_connection(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        with suppress(OSError):  # the client has left already
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
        kind: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = kind(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol


async def work(line: Line, arrivals: socket.socket, changes: memoryview) -> None:
    """Do the job that the parent gives, until a signal or its end; ServeError and PodiumError as `podium serve`."""
    job = await line.receive()
    if not isinstance(job, Job):
        return  # the parent has gone already
    configure_logs(job.settings.log_level, job.settings.log_format, worker=job.number)
    parent = Parent(line, job.number)
    gateway = make_gateway(job.settings, job.urls, Siblings(parent.gather, SharedChanges(changes, job.number - 1)))
    await open_gateway(gateway)
    listening = asyncio.create_task(parent.listen())
    await WorkerServer(gateway, parent, arrivals).run_until_drained([], lambda: None)
    listening.cancel()


async def _run(line_end: int, arrivals_end: int, changes: int) -> None:
    line = await Line.over(socket.socket(fileno=line_end))
    try:
        await work(line, socket.socket(fileno=arrivals_end), memoryview(mmap(changes, 0)))
    except (PodiumError, ServeError) as error:
        log.error("worker_not_started", reason=str(error))
        sys.exit(1)
    finally:
        await line.close()


if __name__ == "__main__":
    uvloop.run(_run(*map(int, sys.argv[1:])))
