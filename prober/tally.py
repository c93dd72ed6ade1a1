"""What is counted and measured of one rendition during a run."""

from collections import Counter
from dataclasses import dataclass, field

from prober.run import Reason, RenditionRun, spread_of


@dataclass(slots=True)
class Tally:
    """The figures so far; `missed` counts by why, and with SEGMENTS_CORRUPT what came and cannot be played."""

    name: str
    received: int = 0
    missed: Counter[Reason] = field(default_factory=Counter)
    gaps: int = 0
    discontinuities: int = 0
    bytes: int = 0
    download_s: float = 0.0
    latencies_s: list[float] = field(default_factory=list)
    durations_s: list[float] = field(default_factory=list)
    declared_s: list[float] = field(default_factory=list)

    @property
    def expected(self) -> int:
        """How many segments there should have been."""
        return self.received + self.missed.total()

    @property
    def content_s(self) -> float:
        """How long what was received takes to play."""
        return sum(self.durations_s) or sum(self.declared_s)

    def result(self) -> RenditionRun:
        """These figures as they are told."""
        corrupt = self.missed[Reason.SEGMENTS_CORRUPT]
        return RenditionRun(
            name=self.name,
            segments_expected=self.expected,
            segments_received=self.received,
            segments_missed=self.missed.total() - corrupt,
            segments_corrupt=corrupt,
            gaps=self.gaps,
            discontinuities=self.discontinuities,
            bytes=self.bytes,
            download_s=self.download_s,
            latency_s=spread_of(self.latencies_s),
            duration_s=spread_of(self.durations_s),
            declared_duration_s=spread_of(self.declared_s),
        )
