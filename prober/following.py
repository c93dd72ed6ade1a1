"""Which segments of a rendition are new: from one look at its playlist to the next."""

from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlsplit

from prober.playlists import Listed, MediaPlaylist


class News(NamedTuple):
    """What has changed: new segments, how many came and went unseen, and whether the sequence began anew."""

    segments: tuple[Listed, ...]
    skipped: int
    has_restarted: bool


@dataclass(slots=True)
class Following:
    """Remembers what the last look saw.

    A playlist goes on from the last one as long as its sequence does not go back and what both list is the same, but
    for queries, which may be signed anew each time; otherwise whoever makes it has begun anew, and all is new.
    """

    _next: int | None = None
    _paths: dict[int, str] | None = None

    def look(self, playlist: MediaPlaylist) -> News:
        """What is new since the last look; the first one sees all as new."""
        paths = {segment.sequence: urlsplit(segment.url).path for segment in playlist.segments}
        seen, self._paths = self._paths, paths
        expected, self._next = self._next, playlist.next_sequence
        if expected is None or seen is None:
            return News(playlist.segments, 0, has_restarted=False)
        if playlist.next_sequence < expected or any(seen.get(number, path) != path for number, path in paths.items()):
            return News(playlist.segments, 0, has_restarted=True)
        new = tuple(segment for segment in playlist.segments if segment.sequence >= expected)
        return News(new, max(0, playlist.first_sequence - expected), has_restarted=False)
