"""Replays recorded answers of the original services: what must be equal, and what may differ."""

import math
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from resolvers.signing import signature

SUITES = {file.stem: orjson.loads(file.read_bytes()) for file in Path(__file__).parent.glob("*.json")}


@dataclass(frozen=True)
class Comparison:
    """How a recorded answer is compared: keys to ignore, lists without order, extra keys allowed."""

    ignore: tuple[str, ...]
    unordered: tuple[str, ...]
    allow: tuple[str, ...]
    subset: bool
    tolerance: float

    @classmethod
    def of(cls, expect: dict[str, Any]) -> "Comparison":
        """The comparison that a step asks for."""
        keys = {name: tuple(expect.get(name, ())) for name in ("ignore", "unordered", "allow")}
        return cls(**keys, subset=expect.get("subset", False), tolerance=expect.get("tolerance", 1e-9))

    def equal(self, want: Any, got: Any, key: str = "") -> bool:
        """Whether an answer is as recorded."""
        if isinstance(want, dict):
            return isinstance(got, dict) and self._equal_objects(want, got)
        if isinstance(want, list):
            return isinstance(got, list) and len(want) == len(got) and self._equal_lists(want, got, key)
        if _is_number(want) and _is_number(got):
            return math.isclose(want, got, rel_tol=self.tolerance, abs_tol=1e-12)
        return type(want) is type(got) and bool(want == got)

    def _equal_objects(self, want: dict[str, Any], got: dict[str, Any]) -> bool:
        extra = set() if self.subset else got.keys() - want.keys() - set(self.allow)
        same = all(k in got and (k in self.ignore or self.equal(v, got[k], k)) for k, v in want.items())
        return same and not extra

    def _equal_lists(self, want: list[Any], got: list[Any], key: str) -> bool:
        if key not in self.unordered:
            return all(self.equal(w, g) for w, g in zip(want, got, strict=True))
        left = list(got)
        for wanted in want:
            match = next((g for g in left if self.equal(wanted, g)), None)
            if match is None:
                return False
            left.remove(match)
        return True


async def _nothing_is_on_its_way() -> None:
    """The originals need to be waited for where they store later than they answer."""


async def replay(
    client: httpx.AsyncClient,
    suite: str,
    secret: str,
    all_is_stored: Callable[[], Awaitable[None]] = _nothing_is_on_its_way,
) -> list[str]:
    """The ids of the steps whose answers differ, each with what was answered. Where a step sleeps, it waits until all
    that was sent before is stored.
    """
    now, differing, captured = time.time(), [], dict[str, str]()
    for step in SUITES[suite]["steps"]:
        if "sleep" in step:
            await all_is_stored()
        if "ws" in step:
            differing += await _talk(client, step["id"], _filled(step["ws"], now, captured))
            continue
        filled = _filled(step, now, captured)
        answer = await _send(client, filled["request"], secret)
        if _as_expected(filled.get("expect", {}), answer):
            captured |= {name: str(answer.json()[key]) for name, key in filled.get("capture", {}).items()}
        else:
            differing.append(f"{step['id']}: {answer.status_code} {answer.text[:300]}")
    return differing


async def _talk(client: httpx.AsyncClient, id_: str, step: dict[str, Any]) -> list[str]:
    """Send messages over a WebSocket; what went otherwise than expected."""
    address = str(client.base_url.join(step["path"])).replace("http", "ws", 1)
    is_open = False
    try:
        async with connect(address) as socket:
            is_open = True
            for message in step["send"]:
                await socket.send(message)
    except InvalidStatus as refused:
        return [f"{id_}: {refused}"] if step.get("expect_open", True) else []
    return [] if is_open == step.get("expect_open", True) else [f"{id_}: it was opened"]


async def _send(client: httpx.AsyncClient, request: dict[str, Any], secret: str) -> httpx.Response:
    body = orjson.dumps(request["json"]) if "json" in request else request.get("body", "").encode()
    headers = dict(request.get("headers", {}))
    if request.get("sign"):
        headers["Authorization"] = signature(body, secret)
    method, path, query = request.get("method", "GET"), request["path"], request.get("query")
    return await client.request(method, path, params=query, content=body or None, headers=headers)


def _as_expected(expect: dict[str, Any], answer: httpx.Response) -> bool:
    headers = expect.get("headers", {}).items()
    return (
        answer.status_code == expect.get("status", 200)
        and all(want.lower() in answer.headers.get(name, "").lower() for name, want in headers)
        and ("text" not in expect or answer.text.strip() == expect["text"].strip())
        and ("json" not in expect or Comparison.of(expect).equal(expect["json"], orjson.loads(answer.content)))
    )


def _filled(value: Any, now: float, captured: dict[str, str]) -> Any:
    if isinstance(value, str):
        text = re.sub(r"\{now([+-]\d+)?\}", lambda match: str(int(now + float(match[1] or 0))), value)
        return re.sub(r"\{(\w+)\}", lambda match: captured.get(match[1], match[0]), text)
    if isinstance(value, dict):
        return {_filled(k, now, captured): _filled(v, now, captured) for k, v in value.items()}
    return [_filled(item, now, captured) for item in value] if isinstance(value, list) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
