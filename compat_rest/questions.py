"""What the old URLs are asked for, equal for all ways of writing the same parameters."""

from collections.abc import Callable, Mapping
from dataclasses import astuple
from datetime import datetime

from compat_rest.parameters import UNIX_SECONDS, query_pairs
from resolvers.errors import InvalidArgument
from resolvers.filters import StatFilter, Window, from_unix
from resolvers.results import JobType

Parameters = Mapping[str, str]
Parse = Callable[[Parameters], StatFilter]

DEFAULT_WINDOW = Window()  # stands for the one that ends now and moves on; no parameters ask for all times


def query_parameters(query: bytes) -> dict[str, str]:
    """The parameters of a query string: the first of repeated names counts, blank means absent."""
    parameters: dict[str, str] = {}
    for name, value in query_pairs(query):
        parameters.setdefault(name, value)
    for name, value in parameters.items():
        if "\0" in value:
            raise InvalidArgument(f"{name}: a NUL character matches nothing", field=name)
    return {name: value for name, value in parameters.items() if value}


def about_aggregates(parameters: Parameters) -> StatFilter:
    """The parameters of aggregated_stats; InvalidArgument names the one that is wrong or missing."""
    wanted = _about_results(parameters)
    if wanted.pipelines and not wanted.models:
        raise InvalidArgument("model required", field="model")
    return wanted


def about_one_orchestrator(parameters: Parameters) -> StatFilter:
    """The parameters of raw_stats."""
    wanted = _about_results(parameters)
    if wanted.orchestrators is None:
        raise InvalidArgument("orchestrator is a required parameter", field="orchestrator")
    return wanted


def about_top_score(parameters: Parameters) -> StatFilter:
    """The parameters of top_ai_score."""
    orchestrators = _orchestrators(parameters)
    if orchestrators is None:
        raise InvalidArgument("orchestrator is a required parameter", field="orchestrator")
    return StatFilter(DEFAULT_WINDOW, orchestrators=orchestrators)


def about_pipelines(parameters: Parameters) -> StatFilter:
    """The parameters of pipelines."""
    return StatFilter(_window(parameters), regions=_regions(parameters))


def about_everything(parameters: Parameters) -> StatFilter:
    """A question without parameters; those of others are ignored."""
    return StatFilter()


def interval(window: Window) -> str:
    """A window as an interval of ISO 8601, where `..` is open."""
    return "/".join(".." if time is None else time.isoformat().replace("+00:00", "Z") for time in astuple(window))


def _about_results(parameters: Parameters) -> StatFilter:
    window = _window(parameters)
    model, pipeline = parameters.get("model"), parameters.get("pipeline")
    if model and not pipeline:
        raise InvalidArgument("pipeline required", field="pipeline")
    return StatFilter(
        window=window,
        job_type=_job_type(parameters.get("job_type"), is_ai=bool(pipeline)),
        orchestrators=_orchestrators(parameters),
        regions=_regions(parameters),
        pipelines=_one(pipeline),
        models=_one(model),
    )


def _window(parameters: Parameters) -> Window:
    since, until = _time(parameters, "since"), _time(parameters, "until")
    return DEFAULT_WINDOW if since is None and until is None else Window(since, until)


def _orchestrators(parameters: Parameters) -> tuple[str, ...] | None:
    return _one(parameters.get("orchestrator", "").lower())


def _regions(parameters: Parameters) -> tuple[str, ...] | None:
    return _one(parameters.get("region", "").upper())


def _job_type(given: str | None, *, is_ai: bool) -> JobType:
    if given == "ai" or (given != "transcoding" and is_ai):
        return "ai"
    return "transcoding"


def _one(value: str | None) -> tuple[str] | None:
    return (value,) if value else None


def _time(parameters: Parameters, name: str) -> datetime | None:
    value = parameters.get(name)
    if value is None:
        return None
    if not UNIX_SECONDS.fullmatch(value):
        raise InvalidArgument(f"{name}: Unix seconds, for instance 1726864722.5, not {value[:40]}", field=name)
    return from_unix(name, float(value))
