"""When which part of the content was sent: the wall clock of the push by the time of its content."""

from bisect import bisect_right
from collections import deque

KEPT = 1200
MAX_AHEAD_S = 2.0


class SendTimes:
    """Notes of how far the push was when; times of content are seconds from its start, others of any one clock.

    Where the network holds the push up, content is sent later than its time says, and here is when.
    """

    def __init__(self) -> None:
        self._content: deque[float] = deque(maxlen=KEPT)
        self._at: deque[float] = deque(maxlen=KEPT)

    @property
    def sent_s(self) -> float:
        """How much was sent, as far as it is known."""
        return self._content[-1] if self._content else 0.0

    def note(self, content_s: float, at: float) -> None:
        """Content up to `content_s` was sent at `at`."""
        if content_s >= self.sent_s:
            self._content.append(content_s)
            self._at.append(at)

    def sent_at(self, content_s: float) -> float | None:
        """When this part was sent; None where that is not known any more, or not yet."""
        if not self._content or content_s > self._content[-1] + MAX_AHEAD_S:
            return None
        after = bisect_right(self._content, content_s)
        if after == len(self._content):
            return self._at[-1] + content_s - self._content[-1]
        if after == 0:
            is_start = len(self._content) < KEPT
            return self._at[0] - (self._content[0] - content_s) if is_start else None
        before = after - 1
        share = (content_s - self._content[before]) / (self._content[after] - self._content[before])
        return self._at[before] + share * (self._at[after] - self._at[before])
