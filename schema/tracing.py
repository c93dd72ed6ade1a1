"""Traces from beginning to end: what an operation ends with becomes its outcome, and is reported."""

from asyncio import CancelledError
from collections.abc import Callable
from types import TracebackType

from resolvers.errors import Internal, PodiumError
from schema.errors import code_of
from schema.operations import Refused
from schema.request import InvalidRequest
from schema.trace import Trace

TRACE_MARK = "podium.trace"  # of the ASGI scope: the trace of the one operation that a request asks for


class Tracing:
    """A block in which one operation comes to its end; whatever leaves it, the event `operation` reports its trace.

    An operation that was prepared elsewhere, and has waited since, brings its trace along.
    """

    def __init__(self, report: Callable[..., None], trace: Trace | None = None) -> None:
        self._report = report
        self._trace = trace or Trace()

    def __enter__(self) -> Trace:
        self._trace.resume()
        return self._trace

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is not None:
            note_failure(self._trace, error)
        self._report("operation", trace=self._trace)


def note_failure(trace: Trace, error: BaseException) -> None:
    """Note what has ended an operation before it had an answer."""
    match error:
        case Refused():
            trace.fail("refused", code_of(error.errors[0]))
        case PodiumError():
            trace.fail("refused", error.code)
        case InvalidRequest():
            trace.fail("refused", "GRAPHQL_INVALID")
        case CancelledError():
            trace.fail("cancelled", None)
        case _:
            trace.fail("errors", Internal.code)
