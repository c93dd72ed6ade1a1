"""The header Server-Timing, which browsers show among the timings of a request: for development."""

from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from schema.trace import Trace, milliseconds
from schema.tracing import TRACE_MARK


class ServerTiming:
    """With the answer to an operation, tells how long its steps took; `readers` are origins whose pages see it."""

    def __init__(self, app: ASGIApp, readers: Sequence[str]) -> None:
        self.app = app
        self._readers = ", ".join(readers).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def send_timed(message: Message) -> None:
            trace: Trace | None = scope.get(TRACE_MARK)
            if trace and message["type"] == "http.response.start":
                timing = [(b"server-timing", server_timing(trace).encode()), (b"timing-allow-origin", self._readers)]
                message["headers"] = [*message["headers"], *timing]
            await send(message)

        await self.app(scope, receive, send_timed if scope["type"] == "http" else send)


def server_timing(trace: Trace) -> str:
    """The value of the header; times in milliseconds."""
    steps = [f"{step};dur={milliseconds(seconds)}" for step, seconds in trace.seconds.items()]
    noun = "statement" if trace.statements == 1 else "statements"
    database = f'db;dur={milliseconds(trace.database_s)};desc="{trace.statements} {noun}"'
    return ", ".join([*steps, database, f"total;dur={milliseconds(trace.total_s)}", f"answer;desc={trace.source}"])
