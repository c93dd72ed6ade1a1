"""Garbage: texts, values and requests that nobody should send."""

import json
from random import Random
from typing import Any

from resolvers.results import Result
from resolvers.signing import signature
from tests.harness import SECRET

TEXTS = (
    *("", " ", "null", "0", "-1", "1e999", "-1e-999", "1" + "0" * 400, "nan", "0x1", "١٢٣", "FRA", "a" * 5000, "[]"),
    *("%", "%zz", "%ff", "%00", "%ED%A0%80", "\0", "\r\n", "\x1b[2J", "\ufeff", "\U0010ffff", "9" * 5000, "{}", '"'),
    *("İ" * 56, "ẞ" * 40, "𐵐" * 9, "../" * 20 + "etc/passwd", "'; DROP TABLE results --", "W/", "bytes=0-,-1,5-2"),
    *("bytes=" + "0-0," * 2000, "gzip, br;q=9, zstd", "*", "text/html, */*;q=x", "Thu, 99 Foo 0000", "chunked"),
)
NUMBERS = (0, -1, 1, 1000, 2**31, 2**53, 2**63, 2**64 - 1, 2**64, 10**400, 0.5, -1e308, 1e101, float("inf"))
USUAL = {"region": "FRA", "orchestrator": "0x1"}
VALID = {**USUAL, "success_rate": 1, "round_trip_time": 0.5}
FIELDS = (*Result.__struct_fields__, "extra")


def request(method: str, target: str, body: bytes = b"", *headers: str, chunked: bool = False) -> bytes:
    """A complete request, so that an answer is due, and the last one of its connection."""
    lines = [f"{method} {target} HTTP/1.1", "Host: podium", "Connection: close", *headers]
    if chunked:
        body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:7], body[7:]) if part) + b"0\r\n\r\n"
        lines.append("Transfer-Encoding: chunked")
    elif body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogatepass") + body


def post(path: str, body: bytes, *headers: str, chunked: bool = False, content_type: str = "application/json") -> bytes:
    """A signed POST of what is, or is not, JSON."""
    signed = f"Authorization: {signature(body, SECRET)}"
    return request("POST", path, body, f"Content-Type: {content_type}", signed, *headers, chunked=chunked)


def any_text(random: Random) -> str:
    return random.choice(TEXTS)[: random.choice((3, 60, 6000))]


def any_value(random: Random, depth: int = 0) -> Any:
    kind = random.randrange(6 if depth < 4 else 4)
    if kind == 0:
        return random.choice((None, True, False, "\ud800", *NUMBERS))
    if kind < 4:
        return any_text(random)
    if kind == 4:
        return [any_value(random, depth + 1) for _ in range(random.randrange(4))]
    return {random.choice((*FIELDS, *TEXTS[:30])): any_value(random, depth + 1) for _ in range(random.randrange(4))}


def encoded(random: Random, value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")
