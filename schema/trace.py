"""What became of one operation: what it was, what it cost, and how long each of its steps took; never any value."""

import re
from time import perf_counter
from typing import Literal

from graphql import OperationDefinitionNode

from resolvers.reading import Reads

Step = Literal["parse", "plan", "execute", "encode"]
Source = Literal["none", "computed", "kept", "shared"]
Outcome = Literal["ok", "errors", "refused", "cancelled"]

MAX_NAME_LENGTH = 100
_NOT_IN_NAMES = re.compile(r"[^_0-9A-Za-z]")


class Trace:
    """One operation on its way through a door: filled while it is answered, read when it is over.

    Each step ends with a `lap`, so the times of all steps add up to `total_s`. `parse` is with limits and validation,
    `plan` with the cost; both take next to nothing of a document that is known. Of a subscription it is the opening.
    """

    __slots__ = (
        "_lap_began",
        "began",
        "code",
        "cost",
        "database_s",
        "document",
        "kind",
        "name",
        "outcome",
        "seconds",
        "source",
        "statements",
    )

    def __init__(self) -> None:
        self.kind = "unknown"  # until its document is understood
        self.name = ""
        self.document = ""  # the start of its SHA-256
        self.cost: int | None = None  # in objects; of answers that were kept, it was checked before
        self.source: Source = "none"  # of the answer: `shared` is that of another request
        self.outcome: Outcome = "ok"
        self.code: str | None = None  # of the first error
        self.database_s = 0.0  # waits at the same time added up
        self.statements = 0
        self.seconds: dict[Step, float] = {"parse": 0.0, "plan": 0.0, "execute": 0.0, "encode": 0.0}
        self.began = self._lap_began = perf_counter()  # by the clock of perf_counter

    @property
    def total_s(self) -> float:
        """All of its steps."""
        return sum(self.seconds.values())

    def lap(self, step: Step) -> None:
        """What has been done since the last lap was this."""
        now = perf_counter()
        self.seconds[step] += now - self._lap_began
        self._lap_began = now

    def resume(self) -> None:
        """What has been done since the last lap was for others."""
        self._lap_began = perf_counter()

    def understood(self, definition: OperationDefinitionNode) -> None:
        """It is this one, which fits the schema."""
        self.kind = definition.operation.value
        if definition.name:
            self.name = definition.name.value[:MAX_NAME_LENGTH]

    def executed(self, reads: Reads) -> None:
        """It was executed, which ends the lap."""
        self.source = "computed"
        self.database_s, self.statements = reads.database_s, reads.statements
        self.lap("execute")

    def fail(self, outcome: Outcome, code: str | None) -> None:
        """It is not answered, or not all of it: the code of the first error says why."""
        self.outcome, self.code = outcome, code


def milliseconds(seconds: float) -> float:
    """As people read it."""
    return round(seconds * 1000, 2)


def shown_name(name: str | None) -> str:
    """The name of an operation, which clients choose, for logs: letters, digits and underscores, and not too many."""
    return _NOT_IN_NAMES.sub("_", name[:MAX_NAME_LENGTH]) if name else ""
