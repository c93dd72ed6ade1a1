"""The metrics of several processes as those of one; pure."""

from collections.abc import Callable, Iterable
from itertools import chain
from operator import add

from prometheus_client import Metric

GREATEST = ("podium_replica_lag_seconds", "podium_logs_waiting_seconds")  # added up, they would say nothing
OF_A_PROCESS = ("process_", "python_")  # added up, they would say nothing of any process


def of_worker(number: int, families: Iterable[Metric]) -> list[Metric]:
    """What a worker tells of itself, by its number; the rest is what all count together."""
    return [_labelled(family, number) if family.name.startswith(OF_A_PROCESS) else family for family in families]


def merged(sources: Iterable[Iterable[Metric]]) -> list[Metric]:
    """Families by their names, samples with the same name and labels added up.

    The time of creation is the earliest, because that is when the sum began. Of `GREATEST`, the greatest counts.
    """
    families: dict[str, Metric] = {}
    values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for family in chain.from_iterable(sources):
        families.setdefault(family.name, family)
        found = values.setdefault(family.name, {})
        for sample in family.samples:
            key = sample.name, tuple(sample.labels.items())
            found[key] = _joined(sample.name)(found[key], sample.value) if key in found else sample.value
    return [_family(like, values[name]) for name, like in families.items()]


def that_stays(families: Iterable[Metric]) -> list[Metric]:
    """What still counts when a process has ended: what it has counted, and not how it was."""
    return [family for family in families if family.type != "gauge"]


def _joined(name: str) -> Callable[[float, float], float]:
    if name.endswith("_created"):
        return min
    return max if name in GREATEST else add


def _family(like: Metric, values: dict[tuple[str, tuple[tuple[str, str], ...]], float]) -> Metric:
    family = Metric(like.name, like.documentation, like.type, like.unit)
    for (name, labels), value in values.items():
        family.add_sample(name, dict(labels), value)
    return family


def _labelled(family: Metric, number: int) -> Metric:
    labelled = Metric(family.name, family.documentation, family.type, family.unit)
    for sample in family.samples:
        labelled.add_sample(sample.name, {**sample.labels, "worker": str(number)}, sample.value)
    return labelled
