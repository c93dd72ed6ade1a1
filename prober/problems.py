"""What is wrong with a stream at a moment."""

from typing import NamedTuple

from prober.run import Reason


class Problem(NamedTuple):
    """A reason to fail, and what people should know about it."""

    reason: Reason
    detail: str


class ProbeError(Exception):
    """Something could not be had of the network that is probed."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.problem = Problem(reason, detail)
