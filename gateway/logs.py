"""Structured logs: for people on a terminal, one JSON object per line elsewhere."""

import logging
import sys
from contextvars import ContextVar
from functools import partial
from typing import Any, TextIO

import orjson
import structlog
from structlog.typing import EventDict

# The request that is being answered, for the lines that are logged meanwhile.
REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
LEVELS = {"DEBUG": logging.DEBUG, "INFO": logging.INFO, "WARN": logging.WARNING, "ERROR": logging.ERROR}


def configure_logs(level: str, log_format: str, stream: TextIO = sys.stderr, *, worker: int | None = None) -> None:
    """Set up structlog, and send what libraries log the same way; the lines of a worker bear its number."""
    on_terminal = log_format == "console" or (log_format == "auto" and stream.isatty())
    shared: list[Any] = [
        _add_request_id,
        *([partial(_add_worker, worker)] if worker else []),
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, *_renderers(on_terminal=on_terminal)],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_ToStructlog()], level=max(LEVELS[level], logging.WARNING), force=True)


def _add_request_id(_logger: Any, _method: str, event: EventDict) -> EventDict:
    if request_id := REQUEST_ID.get():
        event["request_id"] = request_id
    return event


def _add_worker(worker: int, _logger: Any, _method: str, event: EventDict) -> EventDict:
    return {**event, "worker": worker}


def _renderers(*, on_terminal: bool) -> list[Any]:
    if on_terminal:
        # The default one shows local variables: secrets and connection strings are among them.
        return [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    render = structlog.processors.JSONRenderer(serializer=lambda value, **_: orjson.dumps(value, default=str).decode())
    return [structlog.processors.format_exc_info, render]


class _ToStructlog(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        level = "warning" if record.levelno <= logging.WARNING else "error"
        getattr(structlog.get_logger(), level)(record.getMessage(), logger=record.name, exc_info=record.exc_info)
