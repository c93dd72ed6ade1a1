"""Questions about many nodes at once: what is asked of several in the same way is one statement."""

from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any, NamedTuple

from db.pool import Row
from resolvers.errors import PodiumError


class Asked(NamedTuple):
    """A question about one node; those that ask the same of several are answered together."""

    peer: Any
    question: Hashable


async def answered(keys: Sequence[Asked], ask: Callable[[list[Any], Any], Awaitable[Sequence[Any]]]) -> list[Any]:
    """The answers to these, in their order; for a question that cannot be answered, the error.

    `ask` answers a question about some nodes, in their order.
    """
    peers: dict[Hashable, dict[Any, None]] = {}
    for key in keys:
        peers.setdefault(key.question, {})[key.peer] = None
    found: dict[Asked, Any] = {}
    for question, those in peers.items():
        try:
            answers = await ask(list(those), question)
        except PodiumError as error:
            answers = [error] * len(those)
        found.update(zip([Asked(peer, question) for peer in those], answers, strict=True))
    return [found[key] for key in keys]


def by_peer(rows: Sequence[Row], peers: Sequence[Any]) -> list[list[Row]]:
    """The rows of each of these nodes, in their order, by their column `peer`."""
    found: dict[Any, list[Row]] = {peer: [] for peer in peers}
    for row in rows:
        found[row["peer"]].append(row)
    return list(found.values())
