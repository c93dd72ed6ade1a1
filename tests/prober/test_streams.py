"""How streams are configured, and what is said where they are not."""

from pathlib import Path

import pytest

from prober.streams import Stream, StreamsError, duration_s, read_streams, single_stream

GOOD = """
streams:
  - name: fra-lon
    duration: 1h30m
    injest_region: FRA
    playback_region: LON
    injest_url: rtmp://ingest.example/live/key
    playback_url: https://play.example/hls/master.m3u8
  - name: second
    duration: 90s
    ingest_url: rtmps://ingest.example/live/key
    playback_url: http://play.example/hls/master.m3u8
    variants: [1280x720, 640x360]
    pause: 0
    wait_for_target: 30s
    orchestrator: "0xabc"
    region: NYC
"""


def _written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "streams.yaml"
    file.write_text(text)
    return file


def _mistakes(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(StreamsError) as caught:
        read_streams(_written(tmp_path, text))
    return [line.removeprefix(f"{tmp_path}/streams.yaml: ") for line in str(caught.value).splitlines()]


def test_the_keys_of_the_original_are_taken_in_both_spellings(tmp_path: Path) -> None:
    first, second = read_streams(_written(tmp_path, GOOD))
    assert (first.name, first.duration_s, first.ingest_region, first.playback_region) == ("fra-lon", 5400, "FRA", "LON")
    assert (first.ingest_url, first.pause_s, first.wait_for_target_s) == ("rtmp://ingest.example/live/key", 60, 120)
    assert (second.variants, second.pause_s, second.wait_for_target_s) == (("1280x720", "640x360"), 0, 30)
    assert (second.orchestrator, second.region, second.ingest_region) == ("0xabc", "NYC", None)


@pytest.mark.parametrize(
    ("line", "mistake"),
    [
        ("duration: 90s", "stream 2 (second): duration: is missing"),
        ("ingest_url: rtmps://ingest.example/live/key", "stream 2 (second): ingest_url: is missing"),
        ("pause: 0", "stream 2 (second): paws: not known, or given twice"),
        ("duration: 90s", "stream 2 (second): duration: a duration like 90s, 2m or 1h30m, a week at most"),
        ("playback_url: http://play.example/hls/master.m3u8", "stream 2 (second): playback_url: an http or https URL"),
        ("ingest_url: rtmps://ingest.example/live/key", "stream 2 (second): ingest_url: an rtmp or rtmps URL"),
    ],
)
def test_a_mistake_names_the_file_the_stream_and_the_key(tmp_path: Path, line: str, mistake: str) -> None:
    key = mistake.split(": ")[1]
    wrong = "" if mistake.endswith("is missing") else f"{key}: soon"
    assert _mistakes(tmp_path, GOOD.replace(line, wrong)) == [mistake]


@pytest.mark.parametrize(
    ("line", "wrong", "mistake"),
    [
        ("http://play.example/", "http://play.example:80800/", "playback_url: an http or https URL"),
        ("http://play.example/", "http://[::1/", "playback_url: an http or https URL"),
        ("http://play.example/", "http://:8080/", "playback_url: an http or https URL"),
        ("rtmps://ingest.example/", "rtmps://ingest.example:port/", "ingest_url: an rtmp or rtmps URL"),
        ("    region: NYC\n", "", "orchestrator: needs a region, in which its results count"),
    ],
)
def test_what_could_not_work_is_a_mistake(tmp_path: Path, line: str, wrong: str, mistake: str) -> None:
    assert _mistakes(tmp_path, GOOD.replace(line, wrong)) == [f"stream 2 (second): {mistake}"]


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("duration: 90s", "duration: soon").replace("rtmp://", "http://").replace("pause: 0", "x: 1")
    assert len(_mistakes(tmp_path, text)) == 3


def test_two_streams_of_one_name_are_refused(tmp_path: Path) -> None:
    mistakes = _mistakes(tmp_path, GOOD.replace("name: second", "name: fra-lon"))
    assert mistakes == ["stream (fra-lon): name: 2 streams have it"]


@pytest.mark.parametrize("text", ["", "streams: []", "streams: 3", "- name: a", "other: 1"])
def test_a_file_without_streams_is_refused(tmp_path: Path, text: str) -> None:
    assert _mistakes(tmp_path, text) == ["streams: a list of 1 to 1000 streams"]


def test_a_file_that_is_no_yaml_or_is_not_there_is_refused(tmp_path: Path) -> None:
    (mistake,) = _mistakes(tmp_path, "streams: [\n")
    assert mistake.startswith("no valid YAML: ")
    with pytest.raises(StreamsError, match="No such file"):
        read_streams(tmp_path / "absent.yaml")


@pytest.mark.parametrize("entry", ["5", "null", "[1]", "{1: 2}"])
def test_an_entry_that_is_no_stream_is_refused(tmp_path: Path, entry: str) -> None:
    assert all(line.startswith("stream 1: ") for line in _mistakes(tmp_path, f"streams: [{entry}]"))


def test_the_environment_describes_a_single_stream() -> None:
    given = {"ingest_url": "rtmp://a.example/live", "playback_url": "https://b.example/a.m3u8", "duration": "2m"}
    stream = single_stream(name="probe", region="FRA", **given)
    assert (stream.duration_s, stream.shown_region, stream.shown_duration) == (120, "FRA", "2m")
    with pytest.raises(StreamsError, match=r"^PLAYBACK_URL: is missing$"):
        single_stream(name="probe", **{**given, "playback_url": None})


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("2m", 120), ("1h30m", 5400), ("500ms", 0.5), ("45", 45)])
def test_durations_are_written_as_in_the_original(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0s", "-1s", "m", "1x", "1h 30m", "99d", "nan", "1e3"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a duration like"):
        duration_s(text)


@pytest.mark.parametrize(("text", "shown"), [("90s", "90s"), ("120", "2m"), ("90m", "1h30m"), ("1.5s", "1.5s")])
def test_a_duration_is_shown_as_people_write_it(text: str, shown: str) -> None:
    given = {"name": "a", "ingest_url": "rtmp://a/b", "playback_url": "http://a/b", "duration": text}
    assert Stream.model_validate(given).shown_duration == shown
