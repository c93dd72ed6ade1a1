"""Which segments of a rendition are new: from one look at its playlist to the next."""

from dataclasses import dataclass
from typing import NamedTuple

from prober.playlists import Listed, MediaPlaylist


class News(NamedTuple):
    """What has changed: new segments, how many came and went unseen, and whether the sequence began anew."""

    segments: tuple[Listed, ...]
    skipped: int
    has_restarted: bool


@dataclass(slots=True)
class Following:
    """Remembers what the last look saw.

    A playlist goes on from the last one as long as its sequence does not go back and what both list is the same;
    otherwise whoever makes it has begun anew, and all that it lists is new.
    """

    _next: int | None = None
    _urls: dict[int, str] | None = None

    def look(self, playlist: MediaPlaylist) -> News:
        """What is new since the last look; the first one sees all as new."""
        urls = {segment.sequence: segment.url for segment in playlist.segments}
        seen, self._urls = self._urls, urls
        expected, self._next = self._next, playlist.next_sequence
        if expected is None or seen is None:
            return News(playlist.segments, 0, has_restarted=False)
        if playlist.next_sequence < expected or any(seen.get(number, url) != url for number, url in urls.items()):
            return News(playlist.segments, 0, has_restarted=True)
        new = tuple(segment for segment in playlist.segments if segment.sequence >= expected)
        return News(new, max(0, playlist.first_sequence - expected), has_restarted=False)
