"""The old websocket /feed: what nodes say, live."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import orjson
from starlette.datastructures import Headers, QueryParams
from starlette.routing import WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from compat_rest.errors import error_response
from compat_rest.feed_outbox import FeedOutbox, TooManyReplies, Wire, data_messages
from compat_rest.feed_requests import FeedRequest, feed_request
from resolvers.errors import PodiumError, TooManySubscriptions
from resolvers.identity import Authenticator
from resolvers.identity import Scope as Right
from resolvers.telemetry.intervals import Intervals, Weight, measured
from resolvers.telemetry.listening import Listening
from resolvers.telemetry.live import LogFeed
from resolvers.telemetry.live_rows import LogRows, Pair
from resolvers.times import format_zoneless

MAX_SUBSCRIPTIONS = 1000  # of one socket
CLOSE_TIMEOUT_S = 5.0


class _Close(Exception):
    """The socket is to be closed with this code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(slots=True)
class FeedEndpoint:
    """The endpoint; `wire_of` makes the way to a client."""

    feed: LogFeed
    wire_of: Callable[[Scope, Send], Wire]
    authenticator: Authenticator
    is_open: bool
    report: Callable[..., None]
    counts: Counter[str] = field(default_factory=Counter, init=False)  # of sockets and rows

    @property
    def sockets(self) -> int:
        """How many are open."""
        return self.counts["connected"] - self.counts["disconnected"]

    def routes(self) -> list[WebSocketRoute]:
        """With a slash at the end and without."""
        return [WebSocketRoute(path, self) for path in ("/feed", "/feed/")]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Speak with one client until it leaves."""
        await receive()
        try:
            left_s = await self._left_s(scope)
        except PodiumError as error:
            await _refuse(scope, receive, send, error)
            return
        await send({"type": "websocket.accept"})
        self.counts["connected"] += 1
        try:
            await _Session(self, self.wire_of(scope, send)).run(receive, send, left_s)
        finally:
            self.counts["disconnected"] += 1

    async def _left_s(self, scope: Scope) -> float | None:
        """For how long the client may listen; PodiumError when it may not."""
        if self.is_open:
            return None
        token = QueryParams(scope["query_string"]).get("token")
        shown = f"Bearer {token}" if token else Headers(scope=scope).get("authorization", "")
        identity = await self.authenticator.identify(shown)
        self.authenticator.require(identity, Right.READ, "feed")
        return identity.left_s


async def _refuse(scope: Scope, receive: Receive, send: Send, error: PodiumError) -> None:
    if "websocket.http.response" in scope.get("extensions", {}):
        await WebSocket(scope, receive, send).send_denial_response(error_response(error))
    else:
        await send({"type": "websocket.close"})  # before it is accepted: status 403


class _Session:
    """One client's socket: what it listens to, and what waits to be sent to it."""

    def __init__(self, door: FeedEndpoint, wire: Wire) -> None:
        self.wire = wire
        self.outbox = FeedOutbox(wire, door.counts)
        self.weight = Weight()
        self._door = door
        self._is_told_away = False
        self._subscriptions: dict[Pair, tuple[_Subscription, Listening]] = {}

    async def run(self, receive: Receive, send: Send, left_s: float | None) -> None:
        """Obey until one side closes."""
        try:
            await self._obey(receive, left_s)
        except _Close as close:
            await self._close(send, close)
        except Exception as error:  # whatever it is, it must not leave
            self._door.report("internal_error", error=error)
            await self._close(send, _Close(1011, "Internal error"))
        finally:
            for pair in tuple(self._subscriptions):
                self._unsubscribe(pair)

    async def _obey(self, receive: Receive, left_s: float | None) -> None:
        try:
            async with asyncio.timeout(left_s):
                while (received := await receive())["type"] != "websocket.disconnect":
                    if (text := received.get("text")) is not None:  # frames of bytes mean nothing here
                        self._handle(text)
        except TimeoutError:
            raise _Close(4403, "The token has expired") from None
        except TooManyReplies:
            raise _Close(1008, "More is asked than answers are read") from None

    def _handle(self, text: str) -> None:
        try:
            request = feed_request(text)
            if request.is_end:
                self._unsubscribe(request.pair)
            else:
                self._subscribe(request)
        except PodiumError as error:
            self.tell(error)

    def _subscribe(self, request: FeedRequest) -> None:
        self._unsubscribe(request.pair)  # the new one takes its place
        if len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
            raise TooManySubscriptions(f"at most {MAX_SUBSCRIPTIONS} subscriptions on one socket")
        subscription = _Subscription(self, request)
        listening = self._door.feed.listen(request.pair, subscription, request.start)
        self._subscriptions[request.pair] = subscription, listening

    def _unsubscribe(self, pair: Pair) -> None:
        if found := self._subscriptions.pop(pair, None):
            subscription, listening = found
            subscription.close()
            self._door.feed.leave(listening)

    def tell(self, error: PodiumError) -> None:
        """Send an error."""
        self.outbox.reply(orjson.dumps({"error": error.message}))

    def is_away(self, error: PodiumError) -> None:
        """Send, once for all subscriptions, that the database cannot be asked."""
        if not self._is_told_away:
            self._is_told_away = True
            message = {"error": f"{error.message}: what is stored meanwhile comes later"}
            self.outbox.reply(orjson.dumps(message))

    def is_back(self) -> None:
        """It can be asked again."""
        self._is_told_away = False

    async def _close(self, send: Send, close: _Close) -> None:
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await send({"type": "websocket.close", "code": close.code, "reason": close.reason})
        except TimeoutError:  # the client does not read
            self.wire.abort()
        except Exception as error:  # it has left
            self._door.report("socket_close_refused", error=error)


class _Subscription:
    """A pair that a session listens to."""

    def __init__(self, session: _Session, request: FeedRequest) -> None:
        self._session = session
        self._pair = request.pair
        self._peer_message = orjson.dumps({"msg": request.pair.msg, "peer_id": request.pair.peer_id})
        self._intervals = Intervals(request.aggregate, session.weight) if request.aggregate else None

    @property
    def is_behind(self) -> bool:
        """Whether much of what was delivered was not read."""
        return self._session.outbox.is_behind

    def deliver(self, rows: LogRows) -> None:
        """Send logs, or keep what their aggregates need."""
        if self._intervals:
            self._intervals.add(rows.form("measured", measured))
            return
        wire = self._session.wire
        make = partial(data_messages, wire, self._peer_message)
        self._session.outbox.put(rows.form(type(wire), lambda rows: make(rows.form("plain", _plain))))

    def settled(self, at: datetime | None) -> None:
        """Send the intervals that are over."""
        self._session.is_back()
        if self._intervals and (rows := self._intervals.over(at)):
            self._session.outbox.put(data_messages(self._session.wire, self._peer_message, rows))

    def away(self, error: PodiumError) -> None:
        """Say that nothing can be told at the moment."""
        self._session.is_away(error)

    def end(self) -> None:
        """The server closes the socket."""

    async def drained(self) -> None:
        """Return when the client has read."""
        await self._session.outbox.drained()

    def close(self) -> None:
        """Forget what is not over."""
        if self._intervals:
            self._intervals.close()


def _plain(rows: LogRows) -> list[bytes]:
    return [
        b'{"created_at":"%b","log":%b}' % (format_zoneless(row.ts).encode(), row.message.encode()) for row in rows.rows
    ]
