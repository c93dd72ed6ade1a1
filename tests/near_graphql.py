"""Requests that are nearly GraphQL over HTTP: valid ones, with a few things changed that a client could get wrong."""

import re
from random import Random
from typing import Any
from urllib.parse import urlencode

from schema.root import GRAPHQL_SCHEMA
from tests.garbage import NUMBERS, TEXTS, any_value, encoded, post, request
from tests.schema.execution.documents import DocumentMaker, MadeUp

LITERALS: dict[str, list[Any]] = {
    "DateTime": ["2026-02-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "no time"],
    "Duration": ["24h", "36500d", "0ms", "9" * 90 + "w"],
}
RESULT = {"region": "FRA", "orchestrator": "0x1", "successRate": 1, "segDuration": 2, "roundTripTime": 0.5}
FILTER = {"region": {"in": ["FRA"]}, "during": {"last": "24h"}, "successRate": {"max": 0}}
# Those that the maker of documents, which makes queries, does not have.
OTHERS = (
    (
        "mutation ($r: [StatInput!]!, $k: String) { recordStats(results: $r, idempotencyKey: $k) "
        "{ replayed stats { id region { code } } errors { index field code message } } }",
        {"r": [RESULT, RESULT | {"errors": [{"errorCode": "Timeout", "count": 1}]}], "k": "key"},
    ),
    (
        'mutation ($f: StatFilter, $d: Boolean) { withdrawStats(filter: $f, reason: "wrong", dryRun: $d) '
        "{ withdrawn entry { id } errors { code } } }",
        {"f": FILTER, "d": True},
    ),
    (
        'mutation { registerRegion(code: "OSL", name: "Oslo", jobType: AI) { region { id } errors { code } } }',
        {},
    ),
    (
        "subscription ($f: StatFilter) { statRecorded(filter: $f) { id orchestrator { address } score: successRate } }",
        {"f": FILTER},
    ),
    ("subscription { leaderboardChanged(jobType: AI, first: 3) { entries { rank } } }", {}),
    ("query A { regions { code } } query B { ...F } fragment F on Query { service { version } }", {}),
)
TOKEN = re.compile(r'"""|"(?:\\.|[^"\\])*"|\.\.\.|\$?\w+|\S')
NAMES = (
    *GRAPHQL_SCHEMA.type_map,
    *(field for type_ in GRAPHQL_SCHEMA.type_map.values() for field in getattr(type_, "fields", ())),
)
WORDS = (
    *("{", "}", "(", ")", "[", "]", ":", "!", "$", "@", "=", "|", "&", "...", '"', '"""', "#", "-1", "1e999", "\ufeff"),
    *("query", "mutation", "subscription", "fragment", "on", "true", "null", "$v0", "@skip(if: true)", "@stream"),
    *NAMES,
)
CONTENT_TYPES = (
    *("application/json",) * 40,
    *("application/json; charset=utf-8", 'Application/JSON ;charset="UTF-8"', "application/json; charset=latin1"),
    *("application/graphql+json", "application/x-www-form-urlencoded", "text/plain", "multipart/form-data", "", "json"),
)
ACCEPTS = (
    *("application/json", "application/graphql-response+json", "*/*") * 12,
    *("text/html", "application/*;q=0.1", "application/json;q=0, */*", "text/event-stream", "image/png", "q=1;;,", ""),
)
METHODS = (*("POST",) * 30, *("GET",) * 15, "HEAD", "PUT", "OPTIONS")
MEMBERS = ("query", "variables", "operationName", "extensions", "documentId", "id", "")


class RequestMaker:
    """Makes requests of podium's schema."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._documents = DocumentMaker(GRAPHQL_SCHEMA, LITERALS, random)

    def make(self, count: int) -> list[bytes]:
        """So many requests; each ten of them are made of one document."""
        requests: list[bytes] = []
        while len(requests) < count:
            made = self._documents.make(max_depth=3)
            requests += [self._request(made) for _ in range(min(10, count - len(requests)))]
        return requests

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def _request(self, made: MadeUp) -> bytes:
        text, variables = self._random.choice(OTHERS) if self._chance(0.2) else (made.text, made.variables)
        given: Any = {"query": self._changed_text(text), "variables": self._changed(variables)}
        for _ in range(self._random.choice((0, 0, 0, 0, 0, 0, 1, 2))):
            given[self._random.choice(MEMBERS)] = self._value()
        if self._chance(0.05):
            given = [given] * self._random.choice((0, 1, 3, 9))
        return self._sent(given, is_stream="subscription" in str(given))

    def _sent(self, given: Any, *, is_stream: bool) -> bytes:
        accept = self._random.choice([kind for kind in ACCEPTS if not (is_stream and "event-stream" in kind)])
        method, content_type = self._random.choice(METHODS), self._random.choice(CONTENT_TYPES)
        if method != "POST":
            return request(method, f"/graphql?{self._query_string(given)}"[:60_000], b"", f"Accept: {accept}")
        body = encoded(self._random, given)
        if self._chance(0.05):
            body = body[: self._random.randrange(len(body) + 1)]
        is_chunked = self._chance(0.1)
        return post("/graphql", body, f"Accept: {accept}", content_type=content_type, chunked=is_chunked)

    def _query_string(self, given: Any) -> str:
        pairs = list(given.items()) if isinstance(given, dict) else [("query", given)]
        if self._chance(0.05):
            pairs += pairs
        return urlencode([(name, self._text(value)) for name, value in pairs], errors="replace")

    def _text(self, value: Any) -> str:
        return value if isinstance(value, str) else encoded(self._random, value).decode(errors="replace")

    def _changed_text(self, text: str) -> str:
        tokens = TOKEN.findall(text)
        names = [at for at, token in enumerate(tokens) if token.isidentifier()]
        for _ in range(self._random.choice((0, 0, 0, 1, 2))):
            tokens[self._random.choice(names)] = self._random.choice(NAMES)
        for _ in range(self._random.choice((0, 0, 0, 0, 1, 3))):
            self._change(tokens, self._random.randrange(len(tokens)))
        if self._chance(0.01):
            tokens[self._random.randrange(len(tokens))] = '"' + "a" * 70_000 + '"'
        return self._random.choice((" ", " ", "\n", ",", " #\n")).join(tokens)

    def _change(self, tokens: list[str], at: int) -> None:
        match self._random.randrange(6):
            case 0 if len(tokens) > 1:
                del tokens[at]
            case 1:
                tokens.insert(at, self._random.choice(WORDS))
            case 2:
                tokens[at] = self._random.choice(WORDS)
            case 3:
                tokens[at:at] = tokens[at : at + self._random.choice((1, 5, 30))]
            case 4:
                tokens[at:at] = tokens[at : at + 3] * self._random.choice((2, 50, 400))
            case _:
                tokens[at] = self._random.choice((*TEXTS, str(self._random.choice(NUMBERS))))

    def _changed(self, value: Any) -> Any:
        """The same value, mostly; here and there, something else is in it."""
        if self._chance(0.02):
            return self._value()
        if isinstance(value, dict):
            changed = {name: self._changed(inner) for name, inner in value.items() if not self._chance(0.01)}
            return changed | ({self._random.choice(("region", "x", "")): self._value()} if self._chance(0.01) else {})
        if isinstance(value, list):
            times = self._random.choice((*(1,) * 40, 0, 2, 2000)) if 0 < len(value) < 5 else 1
            return [self._changed(inner) for inner in value * times]
        return value

    def _value(self) -> Any:
        kind = self._random.randrange(20)
        if kind == 0:
            return ["FRA"] * self._random.choice((1001, 60_000))
        if kind == 1:
            nested: Any = 1
            for _ in range(self._random.choice((30, 300, 900))):
                nested = [nested] if self._chance(0.5) else {"in": nested}
            return nested
        return any_value(self._random)
