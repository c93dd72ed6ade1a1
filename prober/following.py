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
    for queries, which may be signed anew each time; otherwise whoever makes it has begun anew, and all is new. One that
    goes back and lists the same, after others had come, is an older copy: caches hand them out, one of them later than
    the other.
    """

    _next: int | None = None
    _paths: dict[int, str] | None = None
    _has_gone_on: bool = False

    def look(self, playlist: MediaPlaylist) -> News:
        """What is new since the last look; the first one sees all as new."""
        paths = {segment.sequence: urlsplit(segment.url).path for segment in playlist.segments}
        news = self._news(playlist, paths)
        if news is None:
            return News((), 0, has_restarted=False)
        self._next, self._paths = playlist.next_sequence, paths
        return news

    def _news(self, playlist: MediaPlaylist, paths: dict[int, str]) -> News | None:
        """What is new, None in an older copy."""
        expected, seen = self._next, self._paths
        if expected is None or seen is None:
            return News(playlist.segments, 0, has_restarted=False)
        goes_back, common = playlist.next_sequence < expected, paths.keys() & seen.keys()
        is_same = all(seen[number] == paths[number] for number in common)
        if not is_same or (goes_back and not (common and self._has_gone_on)):
            self._has_gone_on = True
            return News(playlist.segments, 0, has_restarted=True)
        if goes_back:
            return None
        new = tuple(segment for segment in playlist.segments if segment.sequence >= expected)
        self._has_gone_on |= bool(new)
        return News(new, max(0, playlist.first_sequence - expected), has_restarted=False)
