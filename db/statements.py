"""Reads the named SQL of db/queries once; a statement that is wrong in itself fails at import.

A file holds `-- name: best_scores(region, since)` followed by SQL with `$1..$2`, and `-- piece: window` followed by SQL
that several statements, or later pieces, share: `{window}` stands for it. `{order:newest|oldest}` leaves a choice among
the pieces `order.newest` and `order.oldest`, and `{?region , g.code}` is a part that can be left out: `pick` does both.
The pieces of pieces.sql are for all files.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

_HEAD = re.compile(r"^-- (name|piece): *([a-z0-9_.]+)(?:\(([^)]*)\))? *$", re.MULTILINE)
_PIECE = re.compile(r"\{([a-z0-9_]+)\}")
_CHOICE = re.compile(r"\{([a-z0-9_]+):([a-z0-9_|]+)\}")
_NAMED = re.compile(r"\bpodium\.([a-z_]+)")
_WRITTEN = re.compile(r"\b(?:INSERT INTO|UPDATE|DELETE FROM) podium\.([a-z_]+)")
_PART = re.compile(r"\{\?([a-z0-9_]+) ([^{}]*)\}")
_CONDITION = re.compile(r"\(\$(\d+)::[a-z_. \[\]]+ IS NULL OR ")
_PARAMETER = re.compile(r"\$(\d+)")
_COMMENT = re.compile(r" *--.*")  # no text in a statement has two hyphens

# The tables of the schema podium. Other names in it are types and functions, of which none reads or writes a table.
TABLES = frozenset(
    (
        *("audit_log", "benchmark_events", "benchmarks", "daily_rollups", "host_systems", "hourly_rollups"),
        *("idempotency_keys", "imported_viewers", "imports", "kept_round_trips"),
        *("models", "orchestrators", "peer_connections", "peer_logs", "peers", "pipelines", "probe_runs"),
        *("regions", "results", "rollup_state", "streams", "viewers"),
    )
)
# They change many times a second, which nobody announces: an answer that is made of them is of the present alone.
ALWAYS_CHANGING = frozenset(("peer_connections", "peer_logs", "peers", "streams", "viewers"))
MAX_PICKED = 500  # variants of one statement that are kept


class StatementError(Exception):
    """A statement file, or a call of a statement, is wrong."""


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with the names of its parameters `$1..$n`, in that order.

    `tables` are those that it names, `written` those among them that it writes; of any of its variants.
    """

    name: str
    parameters: tuple[str, ...]
    sql: str
    pieces: dict[str, str]
    tables: frozenset[str] = frozenset()
    written: frozenset[str] = frozenset()
    parts: frozenset[str] = frozenset()
    picked: dict[tuple[Any, ...], "Statement"] = field(default_factory=dict, compare=False)

    def arguments(self, given: dict[str, Any]) -> list[Any]:
        """The values of `given` in the order of the parameters; both must name the same."""
        if len(given) != len(self.parameters) or any(name not in given for name in self.parameters):
            raise StatementError(f"{self.name} takes {self.parameters}, not {tuple(given)}")
        return [given[name] for name in self.parameters]

    def bound(self, given: dict[str, Any]) -> tuple[str, list[Any]]:
        """The SQL for these parameters, and their values; conditions on those that are None are left out, so that the
        planner has less to look at.
        """
        values = self.arguments(given)
        absent = frozenset(number for number, value in enumerate(values, 1) if value is None)
        sql, numbers = _without_conditions_on(absent, self.sql)
        return sql, [values[number - 1] for number in numbers]

    def pick(self, parts: Collection[str] | None = None, **choices: str) -> "Statement":
        """The statement with its open choices made, `pick(order="newest")`, and only these of its optional parts, or
        all if None.
        """
        wanted = self.parts if parts is None else self.parts.intersection(parts)
        key = (wanted, *choices.items())
        if key not in self.picked:
            if len(self.picked) >= MAX_PICKED:
                self.picked.clear()
            self.picked[key] = self._pick(wanted, choices)
        return self.picked[key]

    def variants(self) -> Iterator["Statement"]:
        """Statements that `pick` can make: every choice, with all optional parts, with each alone, and with none."""
        choices = {name: options.split("|") for name, options in _CHOICE.findall(self.sql)}
        alone = [frozenset({name}) for name in sorted(self.parts)]
        for values in product(*choices.values()):
            for parts in {self.parts, frozenset(), *alone}:
                yield self._pick(parts, dict(zip(choices, values, strict=True)))

    def _pick(self, parts: frozenset[str], choices: Mapping[str, str]) -> "Statement":
        def chosen(match: re.Match[str]) -> str:
            wanted = choices.get(match[1])
            if wanted not in match[2].split("|"):
                raise StatementError(f"{self.name}: {match[1]} is one of {match[2]}, not {wanted}")
            return self.pieces[f"{match[1]}.{wanted}"]

        def kept(match: re.Match[str]) -> str:
            return match[2] if match[1] in parts else ""

        return replace(self, sql=_CHOICE.sub(chosen, _PART.sub(kept, self.sql)), picked={})


def parse(noun: str, text: str, shared: Mapping[str, str] | None = None) -> dict[str, Statement]:
    """The statements of one file, by `noun.name`; `shared` are the pieces of another one."""
    pieces = pieces_of(noun, text, shared)
    statements = {}
    for head, body in _sections(text, "name"):
        names = tuple(name.strip() for name in (head[3] or "").split(",") if name.strip())
        statements[f"{noun}.{head[2]}"] = _statement(f"{noun}.{head[2]}", names, body, pieces)
    return statements


def pieces_of(noun: str, text: str, shared: Mapping[str, str] | None = None) -> dict[str, str]:
    """The pieces of one file, and the shared ones, by name."""
    pieces = dict(shared or {})
    for head, body in _sections(text, "piece"):
        if head[2] in pieces:
            raise StatementError(f"{noun}: there are two pieces {head[2]}")
        pieces[head[2]] = _expand(head[2], body, pieces)
    return pieces


def _sections(text: str, kind: str) -> Iterator[tuple[re.Match[str], str]]:
    heads = list(_HEAD.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    for head, end in zip(heads, ends, strict=True):
        if head[1] == kind:
            yield head, _COMMENT.sub("", text[head.end() : end]).strip().rstrip(";")


def _statement(name: str, parameters: tuple[str, ...], body: str, pieces: dict[str, str]) -> Statement:
    sql = _expand(name, body, pieces)
    statement = Statement(name, parameters, sql, pieces, parts=frozenset(part for part, _ in _PART.findall(sql)))
    try:
        variants = list(statement.variants())
    except KeyError as missing:
        raise StatementError(f"{name}: there is no piece {missing}") from None
    everything = " ".join(variant.sql for variant in variants)
    _check_parameters(statement, everything)
    named, written = (TABLES.intersection(pattern.findall(everything)) for pattern in (_NAMED, _WRITTEN))
    return replace(statement, tables=named, written=written, picked={})


def _expand(name: str, body: str, pieces: dict[str, str]) -> str:
    try:
        return _PIECE.sub(lambda match: pieces[match[1]], body)
    except KeyError as missing:
        raise StatementError(f"{name}: there is no piece {missing}") from None


def _check_parameters(statement: Statement, sql: str) -> None:
    used = {int(number) for number in _PARAMETER.findall(sql)}
    if used != set(range(1, len(statement.parameters) + 1)):
        raise StatementError(f"{statement.name} uses ${sorted(used)} and names {statement.parameters}")


@lru_cache(maxsize=1000)
def _without_conditions_on(absent: frozenset[int], sql: str) -> tuple[str, list[int]]:
    """The SQL without its conditions `($1::type IS NULL OR …)` on absent parameters, and the numbers of those that are
    left.
    """
    position = 0
    while match := _CONDITION.search(sql, position):
        position = match.start() + 1
        if int(match[1]) in absent:
            sql = sql[: match.start()] + "TRUE" + sql[_end_of_group(sql, match.start()) :]
    numbers = sorted({int(number) for number in _PARAMETER.findall(sql)})
    places = {number: place for place, number in enumerate(numbers, 1)}
    return _PARAMETER.sub(lambda match: f"${places[int(match[1])]}", sql), numbers


def _end_of_group(sql: str, start: int) -> int:
    depth = 0
    for position in range(start, len(sql)):
        depth += (sql[position] == "(") - (sql[position] == ")")
        if not depth:
            return position + 1
    raise StatementError(f"a parenthesis is not closed: {sql[start:]}")


def load(folder: Path) -> dict[str, Statement]:
    """The statements of every .sql file of a folder; the pieces of pieces.sql are for all of them."""
    shared = pieces_of("pieces", (folder / "pieces.sql").read_text())
    files = [file for file in sorted(folder.glob("*.sql")) if file.stem != "pieces"]
    return {name: statement for file in files for name, statement in parse(file.stem, file.read_text(), shared).items()}


STATEMENTS = load(Path(__file__).parent / "queries")
