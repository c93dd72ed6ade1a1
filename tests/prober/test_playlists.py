"""Playlists as they are read, and what is new in them."""

import pytest

from prober.following import Following
from prober.playlists import MAX_LISTED, MediaPlaylist, renditions_of, segments_of
from prober.problems import ProbeError
from prober.run import Reason

URL = "https://play.example/hls/master.m3u8?token=1"
MASTER = b"""#EXTM3U
#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=1280x720
0_1/index.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=1
https://other.example/low.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=1280x720
/backup/main.m3u8
"""
MEDIA = """#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:2
#EXT-X-MEDIA-SEQUENCE:%d
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.500Z
"""


def _media(first: int, *names: str) -> MediaPlaylist:
    return segments_of(URL, ((MEDIA % first) + "".join(f"#EXTINF:2.0,\n{name}.ts\n" for name in names)).encode())


def test_renditions_are_named_by_their_size_else_by_their_file() -> None:
    found = [(rendition.name, rendition.also, rendition.url) for rendition in renditions_of(URL, MASTER)]
    assert found == [
        ("1280x720", "0_1", "https://play.example/hls/0_1/index.m3u8"),
        ("low", "low", "https://other.example/low.m3u8"),
        ("1280x720-2", "main", "https://play.example/backup/main.m3u8"),
    ]


def test_a_media_playlist_is_its_only_rendition() -> None:
    (rendition,) = renditions_of(URL, (MEDIA % 1).encode())
    assert (rendition.name, rendition.url) == ("master", URL)


def test_segments_have_their_times_marks_and_addresses() -> None:
    text = MEDIA % 7 + (
        '#EXT-X-MAP:URI="init.mp4"\n#EXTINF:2.0,\na.m4s\n#EXT-X-DISCONTINUITY\n'
        '#EXT-X-KEY:METHOD=AES-128,URI="key"\n#EXTINF:1.5,\nb.m4s\n#EXT-X-GAP\n#EXTINF:2,\nc.m4s\n'
    )
    playlist = segments_of(URL, text.encode())
    a, b, c = playlist.segments
    assert (playlist.target_s, playlist.first_sequence, playlist.next_sequence) == (2.0, 7, 10)
    assert (a.url, a.init_url) == ("https://play.example/hls/a.m4s", "https://play.example/hls/init.mp4")
    assert b.begins_at is not None
    assert a.begins_at is not None
    assert (a.begins_at % 60, b.begins_at - a.begins_at) == (0.5, 2.0)
    assert [segment.is_encrypted for segment in (a, b, c)] == [False, True, True]
    assert [segment.is_discontinuous for segment in (a, b, c)] == [False, True, False]
    assert [segment.is_gap for segment in (a, b, c)] == [False, False, True]


@pytest.mark.parametrize(
    "end",
    [
        '#EXT-X-PART:DURATION=0.5,URI="c.1.ts"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI="c.2.ts"\n',
        "#EXTINF:2.0,",
        "#EXTINF:2.0,\n#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:04.500Z\n",
    ],
    ids=["parts", "cut short", "half written"],
)
def test_a_segment_that_is_not_listed_yet_is_none(end: str) -> None:
    text = MEDIA % 7 + '#EXTINF:2.0,\na.ts\n#EXT-X-PART:DURATION=0.5,URI="b.1.ts"\n#EXTINF:2.0,\nb.ts\n' + end
    playlist = segments_of(URL, text.encode())
    assert [segment.url.rpartition("/")[2] for segment in playlist.segments] == ["a.ts", "b.ts"]
    assert playlist.next_sequence == 9


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", Reason.PLAYLIST_EMPTY),
        (b" \n", Reason.PLAYLIST_EMPTY),
        (b"<html>", Reason.PLAYLIST_INVALID),
        (b"\xff\xfe\0", Reason.PLAYLIST_INVALID),
        (b"#EXTM3U\n#EXT-X-ERROR: no such stream\n", Reason.PLAYLIST_ERROR),
        (b"#EXTM3U\n#EXTINF:abc,\na.ts\n", Reason.PLAYLIST_INVALID),
        (b"#EXTM3U\n#EXTINF:nan,\na.ts\n", Reason.PLAYLIST_INVALID),
        (b"#EXTM3U\n#EXTINF:-1,\na.ts\n", Reason.PLAYLIST_INVALID),
        (b"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:x\n", Reason.PLAYLIST_INVALID),
        (b"#EXTM3U\n#EXT-X-PROGRAM-DATE-TIME:yesterday\n#EXTINF:1,\na.ts\n", Reason.PLAYLIST_INVALID),
        (b"#EXTM3U\n#EXT-X-BYTERANGE:1@0\n#EXTINF:1,\na.ts\n", Reason.PLAYLIST_INVALID),
        (MASTER, Reason.PLAYLIST_INVALID),
    ],
)
def test_what_is_no_media_playlist_has_a_reason(body: bytes, reason: Reason) -> None:
    with pytest.raises(ProbeError) as caught:
        segments_of(URL, body)
    assert caught.value.problem.reason is reason


@pytest.mark.parametrize(
    "entry", ["BANDWIDTH=1\nhttp://[::1/a.m3u8", "BANDWIDTH=1\n//[", "BANDWIDTH=1,RESOLUTION=1280\na.m3u8"]
)
def test_a_rendition_that_cannot_be_is_no_mistake_of_our_own(entry: str) -> None:
    with pytest.raises(ProbeError) as caught:
        renditions_of(URL, f"#EXTM3U\n#EXT-X-STREAM-INF:{entry}\n".encode())
    assert caught.value.problem.reason is Reason.PLAYLIST_INVALID


def test_only_what_was_not_there_before_is_new() -> None:
    following = Following()
    assert [segment.sequence for segment in following.look(_media(1, "a", "b")).segments] == [1, 2]
    assert following.look(_media(1, "a", "b")).segments == ()
    news = following.look(_media(2, "b", "c", "d"))
    assert ([segment.sequence for segment in news.segments], news.skipped, news.has_restarted) == ([3, 4], 0, False)


def test_urls_that_are_signed_anew_are_the_same() -> None:
    following = Following()
    following.look(_media(1, "a", "b"))
    text = (MEDIA % 1) + "".join(f"#EXTINF:2.0,\n{name}.ts?signature=other\n" for name in "abc")
    news = following.look(segments_of(URL, text.encode()))
    assert ([segment.sequence for segment in news.segments], news.has_restarted) == ([3], False)


def test_of_a_long_playlist_the_last_segments_are_looked_at() -> None:
    following = Following()
    following.look(_media(1, *(f"{number}" for number in range(MAX_LISTED + 10))))
    longer = _media(1, *(f"{number}" for number in range(MAX_LISTED + 12)))
    assert (longer.first_sequence, longer.next_sequence) == (13, MAX_LISTED + 13)
    news = following.look(longer)
    assert [segment.url.rpartition("/")[2] for segment in news.segments] == ["5010.ts", "5011.ts"]
    assert (news.skipped, news.has_restarted) == (0, False)


def test_what_came_and_went_unseen_is_counted() -> None:
    following = Following()
    following.look(_media(1, "a", "b"))
    news = following.look(_media(6, "f", "g"))
    assert ([segment.sequence for segment in news.segments], news.skipped, news.has_restarted) == ([6, 7], 3, False)


@pytest.mark.parametrize("playlist", [_media(0, "a"), _media(1, "other", "b", "c"), _media(0)])
def test_a_sequence_that_begins_anew_is_new_as_a_whole(playlist: MediaPlaylist) -> None:
    following = Following()
    following.look(_media(1, "a", "b"))
    news = following.look(playlist)
    assert (news.segments, news.has_restarted) == (playlist.segments, True)


def test_an_older_copy_of_a_playlist_has_nothing_new() -> None:
    following = Following()
    following.look(_media(1, "a", "b"))
    following.look(_media(2, "b", "c"))
    assert following.look(_media(1, "a", "b")) == ((), 0, False)
    assert following.look(_media(2, "b")) == ((), 0, False)
    news = following.look(_media(3, "c", "d"))
    assert ([segment.sequence for segment in news.segments], news.skipped, news.has_restarted) == ([4], 0, False)


def test_a_push_that_uses_the_names_of_the_one_before_is_new_from_its_first_segment_on() -> None:
    following = Following()
    following.look(_media(0, "a", "b", "c", "d"))
    looks = [following.look(_media(0, *names)) for names in ("a", "ab", "abc")]
    assert [[segment.sequence for segment in news.segments] for news in looks] == [[0], [1], [2]]
    assert [news.has_restarted for news in looks] == [True, False, False]
