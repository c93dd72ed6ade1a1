"""Replays recorded answers of the original services: what must be equal, and what may differ."""

import math
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson

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


async def replay(client: httpx.AsyncClient, suite: str, secret: str) -> list[str]:
    """The ids of the steps whose answers differ, each with what was answered."""
    now, differing = time.time(), []
    for step in _filled(SUITES[suite]["steps"], now):
        answer = await _send(client, step["request"], secret)
        if not _as_expected(step.get("expect", {}), answer):
            differing.append(f"{step['id']}: {answer.status_code} {answer.text[:300]}")
    return differing


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


def _filled(value: Any, now: float) -> Any:
    if isinstance(value, str):
        return re.sub(r"\{now([+-]\d+)?\}", lambda match: str(int(now + float(match[1] or 0))), value)
    if isinstance(value, dict):
        return {_filled(k, now): _filled(v, now) for k, v in value.items()}
    return [_filled(item, now) for item in value] if isinstance(value, list) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
