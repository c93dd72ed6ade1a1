"""What is known of values by their types alone: a column has few."""

from functools import lru_cache
from types import GeneratorType, NoneType

from graphql.pyutils.undefined import UndefinedType


@lru_cache(maxsize=1000)
def may_be_awaitable(kind: type) -> bool:
    """Whether values of this type may have to be awaited."""
    return hasattr(kind, "__await__") or issubclass(kind, GeneratorType)


@lru_cache(maxsize=1000)
def is_present(kind: type) -> bool:
    """Whether values of this type are there: they are neither null nor failures."""
    return not issubclass(kind, NoneType | UndefinedType | Exception)
