"""What the old URLs of telemetry are asked for: parameters that cannot be read are refused by name."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote_to_bytes

from starlette.requests import Request

from compat_rest.parameters import query_pairs
from resolvers.errors import InvalidArgument
from resolvers.telemetry.logs import LogFilter
from resolvers.telemetry.reputation import ReputationFilter
from resolvers.times import parse_zoneless

DEFAULT_LIMIT = 100
MAX_LIMIT = 10_000
DEFAULT_MAX_AGE_S = 60
SINCE_EVER_S = 10**12  # an age that reaches beyond all times

Parameters = Mapping[str, str]

_LIMIT = re.compile(r"0*[0-9]{1,18}", re.ASCII)
_AGE = re.compile(r"-?[0-9]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class LogsQuestion:
    """Which logs of which node, and how many at most; a `before` of None stands for the present."""

    peer_id: str
    wanted: LogFilter
    limit: int


@dataclass(frozen=True, slots=True)
class ReputationsQuestion:
    """How old network states may be, and how many nodes are told of at most; an age below 0 is in the future."""

    max_age_s: int
    limit: int


@dataclass(frozen=True, slots=True)
class OpinionsQuestion:
    """Opinions about which node, of when, and how many at most; a `before` of None stands for the present."""

    peer_id: str
    wanted: ReputationFilter
    limit: int


def about_everything(request: Request) -> None:
    """A question without parameters; those of others are ignored."""


def about_log_stats(request: Request) -> str | None:
    """The node whose logs are counted."""
    return _given(request, ("peer_id",)).get("peer_id")


def about_logs(request: Request) -> LogsQuestion:
    """The parameters of /nodes/logs; `target` counts together with `msg` alone."""
    given = _given(request, ("peer_id", "msg", "target", "start_time", "end_time", "limit"))
    if "peer_id" not in given:
        raise InvalidArgument("peer_id: it is required", field="peer_id")
    msg = given.get("msg")
    target = None if msg is None else given.get("target")
    wanted = LogFilter(msg, target, _time(given, "start_time"), _time(given, "end_time"))
    return LogsQuestion(given["peer_id"], wanted, _limit(given))


def about_reputations(request: Request) -> ReputationsQuestion:
    """The parameters of /reputation and /reputation/logged."""
    given = _given(request, ("max_age_s", "limit"))
    return ReputationsQuestion(_max_age_s(given), _limit(given))


def about_opinions(request: Request) -> OpinionsQuestion:
    """The node in the path, and the parameters of /reputation/{peer_id}."""
    given = _given(request, ("start_time", "end_time", "limit"))
    peer_id = _readable("peer_id", unquote_to_bytes(named_in_path(request)).decode(errors="replace"))
    wanted = ReputationFilter(_time(given, "start_time"), _time(given, "end_time"))
    return OpinionsQuestion(peer_id, wanted, _limit(given))


def named_in_path(request: Request) -> bytes:
    """The second and last part of the path as it was sent, in which a slash may be escaped; empty without one."""
    parts = request.scope["raw_path"].split(b"/")
    if len(parts) == 4 and not parts[3]:
        parts.pop()
    return bytes(parts[2]) if len(parts) == 3 else b""


def _given(request: Request, names: Collection[str]) -> Parameters:
    given: dict[str, str] = {}
    for name, value in query_pairs(request.scope["query_string"]):
        if name in names:
            if name in given:
                raise InvalidArgument(f"{name}: it is given more than once", field=name)
            given[name] = _readable(name, value)
    return given


def _readable(name: str, value: str) -> str:
    if "\0" in value:
        raise InvalidArgument(f"{name}: a NUL character matches nothing", field=name)
    return value


def _limit(given: Parameters) -> int:
    value = given.get("limit", str(DEFAULT_LIMIT))
    if not _LIMIT.fullmatch(value):
        raise InvalidArgument(f"limit: an integer, 0 or more, not {value[:40]}", field="limit")
    return min(int(value[-18:]), MAX_LIMIT)


def _max_age_s(given: Parameters) -> int:
    value = given.get("max_age_s", str(DEFAULT_MAX_AGE_S))
    if not _AGE.fullmatch(value):
        raise InvalidArgument(f"max_age_s: an integer, not {value[:40]}", field="max_age_s")
    digits = value.lstrip("-0")
    age_s = SINCE_EVER_S if len(digits) > 12 else int(digits or "0")
    return -age_s if value.startswith("-") else age_s


def _time(given: Parameters, name: str) -> datetime | None:
    value = given.get(name)
    if value is None:
        return None
    try:
        return parse_zoneless(value.replace(" ", "+"))  # a plus that is not escaped arrives as a space
    except ValueError as error:
        raise InvalidArgument(f"{name}: {error}", field=name) from None
