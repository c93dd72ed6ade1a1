"""How much a probe takes from the network that it probes, and how long it waits for it."""

from dataclasses import dataclass

from prober.fetching import Bound

PLAYLIST = Bound(bytes=2 << 20, seconds=5.0)
SEGMENT = Bound(bytes=64 << 20, seconds=20.0)


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds and bytes.

    `push_silence_s`: how long the push may send nothing. `stall_s`: how long a rendition may have nothing new, or three
    times the duration of its segments where that is longer. `absence_s`: how long a rendition, or the master playlist,
    may be away.
    """

    push_silence_s: float = 8.0
    stall_s: float = 10.0
    absence_s: float = 10.0
    waiting_look_s: float = 0.5
    master_look_s: float = 5.0
    playlist: Bound = PLAYLIST
    segment: Bound = SEGMENT
