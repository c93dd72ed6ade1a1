"""What is probed: one stream of the environment, or many of a YAML file in the form of the original's chart."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
)
from pydantic_core import ErrorDetails
from yarl import URL

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNITS_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}
MAX_DURATION_S = 7 * 86_400
MAX_STREAMS = 1000
MAX_FILE_BYTES = 1 << 20


class StreamsError(Exception):
    """The streams cannot be probed as they are configured; the message is one line per mistake."""


def duration_s(value: Any) -> float:
    """Seconds of a duration such as `90s`, `2m` or `1h30m`; a plain number is seconds."""
    text = str(value).strip()
    parts = _DURATION.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        seconds = sum(float(number) * _UNITS_S[unit] for number, unit in parts)
    elif re.fullmatch(r"\d+(\.\d+)?", text):
        seconds = float(text)
    else:
        seconds = 0.0
    if not 0 < seconds <= MAX_DURATION_S:
        raise ValueError("a duration like 90s, 2m or 1h30m, a week at most")
    return seconds


def _pause_s(value: Any) -> float:
    return 0.0 if str(value).strip() in {"0", "0s"} else duration_s(value)


def _push_url(value: str) -> str:
    if not _is_url("rtmps?", value):
        raise ValueError("an rtmp or rtmps URL")
    return value


def _playback_url(value: str) -> str:
    if not _is_url("https?", value):
        raise ValueError("an http or https URL")
    return value


def _is_url(schemes: str, value: str) -> bool:
    try:
        return bool(re.fullmatch(rf"{schemes}://[^/?#\s]+\S*", value) and URL(value).host)
    except ValueError:  # of its port as well
        return False


def _of_a_region(orchestrator: str | None, info: ValidationInfo) -> str | None:
    if orchestrator and info.data.get("region", "") is None:
        raise ValueError("needs a region, in which its results count")
    return orchestrator


def _variants(value: Any) -> Any:
    return tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else value


def _unnamed(value: Any) -> Any:
    return None if value == "" else value


Seconds = Annotated[float, BeforeValidator(duration_s)]
Pause = Annotated[float, BeforeValidator(_pause_s)]
PushUrl = Annotated[str, AfterValidator(_push_url)]
PlaybackUrl = Annotated[str, AfterValidator(_playback_url)]
Name = Annotated[str, Field(min_length=1, max_length=256)]
OptionalName = Annotated[Name | None, BeforeValidator(_unnamed)]


def _spelt(*names: str) -> Any:
    return Field(default=None, validation_alias=AliasChoices(*names))


class Stream(BaseModel):
    """A stream to probe; `variants` are the renditions that must be there, by name or by WIDTHxHEIGHT."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    duration_s: Seconds = Field(validation_alias="duration")
    ingest_url: PushUrl = Field(validation_alias=AliasChoices("ingest_url", "injest_url"))
    playback_url: PlaybackUrl
    ingest_region: OptionalName = _spelt("ingest_region", "injest_region")
    playback_region: OptionalName = None
    region: OptionalName = None
    orchestrator: Annotated[OptionalName, AfterValidator(_of_a_region)] = None
    variants: Annotated[tuple[Name, ...], BeforeValidator(_variants)] = ()
    pause_s: Pause = Field(default=60.0, validation_alias="pause")
    wait_for_target_s: Seconds = Field(default=120.0, validation_alias="wait_for_target")

    @property
    def shown_region(self) -> str:
        """The region that metrics are labelled with: its own, or where it is played."""
        return self.region or self.playback_region or ""

    @property
    def shown_duration(self) -> str:
        """The duration that metrics are labelled with, like 90s or 1h30m."""
        if self.duration_s % 60 and self.duration_s < 600:
            return f"{self.duration_s:g}s"
        hours, rest = divmod(round(self.duration_s), 3600)
        parts = (hours, "h"), (rest // 60, "m"), (rest % 60, "s")
        return "".join(f"{number}{unit}" for number, unit in parts if number)


def read_streams(path: Path) -> tuple[Stream, ...]:
    """The streams of a YAML file `streams: [{name, duration, injest_url, playback_url, …}]`."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise StreamsError(f"{path}: {error.strerror}") from None
    if len(text) > MAX_FILE_BYTES:
        raise StreamsError(f"{path}: larger than {MAX_FILE_BYTES} bytes")
    try:
        document = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 (it makes texts, of 0xAbc as well, and no objects)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise StreamsError(f"{path}: no valid YAML: {_one_line(error)}") from None
    return _streams(str(path), document)


def single_stream(**given: Any) -> Stream:
    """The stream of the environment, by the names of its settings in lower case."""
    present = {name: value for name, value in given.items() if value is not None}
    try:
        return Stream(**present)
    except ValidationError as error:
        raise StreamsError("\n".join(f"{_key(item).upper()}: {_said(item)}" for item in error.errors())) from None


def _streams(file: str, document: Any) -> tuple[Stream, ...]:
    entries = document.get("streams") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not entries or len(entries) > MAX_STREAMS:
        raise StreamsError(f"{file}: streams: a list of 1 to {MAX_STREAMS} streams")
    mistakes = [f"{file}: {key}: not known, there is only streams" for key in document if key != "streams"]
    streams: list[Stream] = []
    for number, entry in enumerate(entries, 1):
        where = f"{file}: stream {number}{_named(entry)}"
        try:
            streams.append(Stream.model_validate(entry))
        except ValidationError as error:
            mistakes += [f"{where}: {_key(item)}: {_said(item)}" for item in error.errors()]
        except TypeError:
            mistakes.append(f"{where}: keys must be names")
    mistakes += _doubled(file, streams)
    if mistakes:
        raise StreamsError("\n".join(mistakes))
    return tuple(streams)


def _doubled(file: str, streams: list[Stream]) -> Iterator[str]:
    for name, count in Counter(stream.name for stream in streams).items():
        if count > 1:
            yield f"{file}: stream ({name}): name: {count} streams have it"


def _named(entry: Any) -> str:
    name = entry.get("name") if isinstance(entry, dict) else None
    return f" ({str(name)[:100]})" if name else ""


def _key(item: ErrorDetails) -> str:
    return str(item["loc"][0]) if item["loc"] else "stream"


def _said(item: ErrorDetails) -> str:
    if item["type"] == "missing":
        return "is missing"
    if item["type"] == "extra_forbidden":
        return "not known, or given twice"
    return item["msg"].removeprefix("Value error, ")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
