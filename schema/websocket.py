"""GraphQL over WebSockets: the protocol graphql-transport-ws, for subscriptions and for everything else."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import orjson
from graphql import GraphQLError, OperationType
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from resolvers.errors import PodiumError, SlowConsumer, TooManySubscriptions
from schema.answering import Answering
from schema.context import Context, identified
from schema.errors import formatted, shown_error
from schema.feeds import Errors, Feeds, Payloads
from schema.operations import Refused
from schema.origins import is_allowed
from schema.outbox import Outbox, Wire, wire_of
from schema.persisted import Documents
from schema.request import InvalidRequest, Request, request_of
from schema.trace import Trace, shown_name
from schema.tracing import Tracing

PROTOCOL = "graphql-transport-ws"
INIT_TIMEOUT_S = 10.0
LEAVE_TIMEOUT_S = 5.0  # for a client to read the end, before the connection is cut
MAX_OPERATIONS = 100  # on one socket at once
MAX_ID_LENGTH = 256  # it is repeated with every message

_NEXT = b'{"type":"next","payload":'
_ID = b',"id":'


class _Close(Exception):
    """The socket is to be closed with this code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class WebSocketEndpoint:
    """The endpoint /graphql for WebSockets; `origins` are those whose pages may connect, beside the server's own."""

    def __init__(self, feeds: Feeds, documents: Documents, answering: Answering, origins: Sequence[str]) -> None:
        self.operations = feeds.operations
        self.documents = documents
        self.answering = answering
        self.backend = feeds.backend
        self.feeds = feeds
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Speak with one client until it leaves."""
        headers = Headers(scope=scope)
        await receive()
        if not is_allowed(headers.get("origin"), headers.get("host", ""), self._origins):
            await send({"type": "websocket.close"})  # before it is accepted: status 403
            return
        if PROTOCOL not in scope["subprotocols"]:
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": 4406, "reason": "Subprotocol not acceptable"})
            return
        await send({"type": "websocket.accept", "subprotocol": PROTOCOL})
        address = (scope.get("client") or ("",))[0]
        await _Session(self, wire_of(scope, send), headers.get("authorization", ""), address).run(receive, send)


class _Session:
    """One client's socket: what it runs, and what waits to be sent to it."""

    def __init__(self, door: WebSocketEndpoint, wire: Wire, authorization: str, address: str) -> None:
        self.door = door
        self.wire = wire
        self.outbox = Outbox(wire, self._end_slow)
        self._authorization = authorization
        self._address = address
        self._context: Context | None = None
        self._is_cut = False
        self._ends_at: float | None = None  # with the client's token, by the clock of the loop
        self._running: dict[str, _Running] = {}

    async def run(self, receive: Receive, send: Send) -> None:
        """Obey until one side closes."""
        try:
            await self._obey(receive)
        except _Close as close:
            await self._close(send, close)
        except asyncio.CancelledError:
            if not self._is_cut:
                raise
        except Exception as error:  # whatever it is, it must not leave
            self.door.backend.report("internal_error", error=error)
            await self._close(send, _Close(1011, "Internal error"))
        finally:
            for running in tuple(self._running.values()):
                running.stop()

    def forget(self, running: "_Running") -> None:
        """An operation has ended; its id may be used again."""
        if self._running.get(running.id) is running:
            del self._running[running.id]

    async def _obey(self, receive: Receive) -> None:
        patience = asyncio.timeout(INIT_TIMEOUT_S)
        try:
            async with patience:
                while (received := await receive())["type"] != "websocket.disconnect":
                    await self._handle(_decoded(received.get("text")))
                    if self._context:
                        patience.reschedule(self._ends_at)
        except TimeoutError:
            if self._context:
                raise _Close(4403, "The token has expired") from None
            raise _Close(4408, "Connection initialisation timeout") from None

    async def _handle(self, message: dict[str, Any]) -> None:
        match message:
            case {"type": "connection_init"}:
                await self._greet(message.get("payload"))
            case {"type": "ping"}:
                self._send({"type": "pong", **({"payload": message["payload"]} if "payload" in message else {})})
            case {"type": "pong"}:
                pass
            case {"type": "subscribe", "id": str(id_), "payload": payload} if 0 < len(id_) <= MAX_ID_LENGTH:
                self._start(id_, payload)
            case {"type": "complete", "id": str(id_)}:
                if id_ in self._running:
                    self._running[id_].stop()
            case _:
                raise _Close(4400, "Invalid message received")

    async def _greet(self, payload: Any) -> None:
        if self._context:
            raise _Close(4429, "Too many initialisation requests")
        if not isinstance(payload, dict | None):
            raise _Close(4400, "Invalid message received")
        given = {name.lower(): value for name, value in (payload or {}).items()}
        authorization = given.get("authorization", self._authorization)
        try:
            self._context = await identified(self.door.backend, str(authorization), self._address)
        except PodiumError as error:
            raise _Close(4403, error.message) from None
        if (left_s := self._context.identity.left_s) is not None:
            self._ends_at = asyncio.get_running_loop().time() + left_s
        self._send({"type": "connection_ack"})

    def _start(self, id_: str, payload: Any) -> None:
        if self._context is None:
            raise _Close(4401, "Unauthorized")
        if id_ in self._running:
            raise _Close(4409, f"Subscriber for {id_} already exists")
        try:
            request = request_of(payload)
        except InvalidRequest as error:
            raise _Close(4400, str(error)) from None
        running = _Running(self, id_)
        if len(self._running) >= MAX_OPERATIONS:
            message = f"at most {MAX_OPERATIONS} operations at once on one connection"
            running.refuse([shown_error(TooManySubscriptions(message), self.door.backend.report)])
            return
        self._running[id_] = running
        running.start(request, self._context.renewed(self.door.backend))

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self.outbox.put_one(orjson.dumps(message))
        except TypeError:  # what it takes up from the client is nested too deeply
            raise _Close(4400, "Invalid message received") from None

    def _end_slow(self) -> None:
        report = self.door.backend.report
        for running in tuple(self._running.values()):
            report("slow_consumer_ended")
            running.refuse([shown_error(SlowConsumer(), report)])
        # Answers of what had ended before may be among what was dropped: only a new connection is sound again.
        asyncio.get_running_loop().call_later(LEAVE_TIMEOUT_S, self._cut)

    def _cut(self) -> None:
        self._is_cut = True
        self.outbox.clear()
        self.wire.abort()

    async def _close(self, send: Send, close: _Close) -> None:
        try:
            async with asyncio.timeout(LEAVE_TIMEOUT_S):
                await send(
                    {
                        "type": "websocket.close",
                        "code": close.code,
                        "reason": close.reason.encode()[:123].decode(errors="ignore"),
                    }
                )
        except TimeoutError:  # the client does not read
            self._cut()
        except Exception as error:  # it has left
            self.door.backend.report("socket_close_refused", error=error)


class _Running:
    """An operation of a session under its id; of a subscription, the subscriber."""

    def __init__(self, session: _Session, id_: str) -> None:
        self.id = id_
        self._is_over = False
        self._session = session
        self._tail = orjson.dumps(id_) + b"}"
        self._task: asyncio.Task[None] | None = None
        self._leave: Callable[[], None] = lambda: None

    def start(self, request: Request, context: Context) -> None:
        """Run in a task."""
        self._task = asyncio.create_task(self._run(request, context))

    def stop(self) -> None:
        """Send no more."""
        self._session.forget(self)
        self._leave()
        self._leave = lambda: None
        if self._task and self._task is not asyncio.current_task():
            self._task.cancel()

    def deliver(self, payloads: Payloads) -> None:
        """Send answers."""
        wire = self._session.wire
        make = partial(_messages, wire, len(self._tail))
        messages, size = payloads.form((type(wire), len(self._tail)), make)
        self._session.outbox.put(messages, self._tail, size)

    def end(self, errors: Errors) -> None:
        """Send the end, once: an answer may be what makes its client a slow one."""
        if self._is_over:
            return
        self._is_over = True
        self.stop()
        if errors:
            self._put(b"error", orjson.dumps(errors))
        else:
            self._put(b"complete")

    def refuse(self, errors: list[GraphQLError]) -> None:
        """Send why it is not executed."""
        report = self._session.door.backend.report
        self.end([formatted(error, report) for error in errors])

    async def _run(self, request: Request, context: Context) -> None:
        try:
            with Tracing(self._session.door.backend.report) as trace:
                trace.name = shown_name(request.name)
                await self._execute(request, context, trace)
        except Refused as refused:
            self.refuse(refused.errors)
        except InvalidRequest as invalid:
            self.refuse([GraphQLError(str(invalid))])
        except Exception as error:  # whatever it is, the client is told
            self.refuse([shown_error(error, self._session.door.backend.report)])

    async def _execute(self, request: Request, context: Context, trace: Trace) -> None:
        door = self._session.door
        operation = door.documents.prepare(request, trace)
        if operation.kind is OperationType.SUBSCRIPTION:
            door.operations.check_cost(operation)
            try:
                self._leave = await door.feeds.join(operation, context, self)
            finally:
                trace.executed(context.reads)
            return
        answer = await door.answering.answer(operation, context.identity)
        self.deliver(Payloads([answer.body]))
        trace.lap("encode")
        self.end([])

    def _put(self, type_: bytes, payload: bytes = b"") -> None:
        member = b',"payload":' + payload if payload else b""
        self._session.outbox.put_one(b'{"type":"%b"%b,"id":%b' % (type_, member, self._tail))


def _messages(wire: Wire, tail_length: int, payloads: list[bytes]) -> tuple[list[bytes], int]:
    # The id comes last: so everything before it is the same for all clients with equally long ids.
    messages = [_NEXT + payload + _ID for payload in payloads]
    lengths = [len(message) + tail_length for message in messages]
    heads = [wire.head(length) for length in lengths]
    return [head + message for head, message in zip(heads, messages, strict=True)], sum(lengths)


def _decoded(text: str | None) -> dict[str, Any]:
    try:
        message = orjson.loads(text or "")
    except orjson.JSONDecodeError:
        message = None
    if not isinstance(message, dict):
        raise _Close(4400, "Invalid message received")
    return message
