"""Where values belong in an answer: columns of fields, columns of items, and groups of objects."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from graphql.pyutils import Path

if TYPE_CHECKING:
    from schema.execution.plan import Field, Selection
    from schema.execution.shapes import Shape


class Group:
    """Objects of one type with the same selection: what they are made from, and what is made of them.

    Object `i` is value `index[i]` of a column; the objects of the operation itself belong to none.
    """

    __slots__ = ("_columns", "column", "index", "objects", "selection", "sources")

    def __init__(
        self, selection: "Selection", sources: Sequence[Any], column: "Column | None", index: Sequence[int]
    ) -> None:
        self.selection = selection
        self.sources = sources
        self._columns: Mapping[str, Sequence[Any]] | None = None
        self.column = column
        self.index = index
        self.objects: list[dict[str, Any]] = [selection.template.copy() for _ in sources]

    def attributes(self, name: str) -> Sequence[Any]:
        """This attribute of all sources. A class that knows a faster way than `getattr` says so: its `__columns__` has
        many objects' attributes by name.
        """
        if self._columns is None:
            self._columns = _columns_of(self.sources)
        column = self._columns.get(name)
        return [getattr(source, name) for source in self.sources] if column is None else column

    def fill(self, key: str, values: Sequence[Any]) -> None:
        """Put completed values in place, one in each object."""
        for object_, value in zip(self.objects, values, strict=True):
            object_[key] = value

    def path(self, i: int) -> Path | None:
        """The path of an object."""
        return self.column.path(self.index[i]) if self.column else None

    def position(self, i: int) -> tuple[int, ...]:
        """The place of an object in the order of the answer."""
        return self.column.position(self.index[i]) if self.column else (i,)


class FieldColumn:
    """The values of one field of a group, one for each object."""

    __slots__ = ("field", "group", "round", "shape")

    def __init__(self, group: Group, field: "Field") -> None:
        self.group = group
        self.field = field
        self.shape: Shape = field.shape
        self.round: int = group.column.round if group.column else 0  # how often something was awaited before

    @property
    def size(self) -> int:
        """How many values there are."""
        return len(self.group.objects)

    def fill(self, values: Sequence[Any]) -> None:
        """Put completed values in place, one for each."""
        self.group.fill(self.field.key, values)

    def put(self, i: int, value: Any) -> None:
        """Put one in place."""
        self.group.objects[i][self.field.key] = value

    def above(self, i: int) -> "tuple[Column, int] | None":
        """The value that this one is a part of; None where that is the whole answer."""
        return (self.group.column, self.group.index[i]) if self.group.column else None

    def path(self, i: int) -> Path:
        """The path of a value."""
        return Path(self.group.path(i), self.field.key, self.field.parent_type.name)

    def position(self, i: int) -> tuple[int, ...]:
        """The place of a value in the order of the answer."""
        return (*self.group.position(i), self.field.position)


class ItemColumn:
    """The items of all lists of a column, one list after the other; those of list `n` begin at `starts[n]`.

    List `n` is value `index[n]` of the column of lists.
    """

    __slots__ = ("field", "index", "lists", "of", "round", "shape", "starts")

    def __init__(self, of: "Column", index: Sequence[int], lengths: Sequence[int], shape: "Shape") -> None:
        self.of = of
        self.index = index
        self.field: Field = of.field
        self.shape = shape
        self.round: int = of.round
        self.lists: list[list[Any]] = [[None] * length for length in lengths]
        self.starts = list(accumulate(lengths, initial=0))[:-1]

    @property
    def size(self) -> int:
        """How many values there are."""
        return sum(map(len, self.lists))

    def fill(self, values: Sequence[Any]) -> None:
        """Put completed values in place, one for each."""
        for start, list_ in zip(self.starts, self.lists, strict=True):
            list_[:] = values[start : start + len(list_)]

    def put(self, i: int, value: Any) -> None:
        """Put one in place."""
        n = self._list_of(i)
        self.lists[n][i - self.starts[n]] = value

    def above(self, i: int) -> "tuple[Column, int] | None":
        """The list that this is an item of."""
        return self.of, self.index[self._list_of(i)]

    def path(self, i: int) -> Path:
        """The path of a value."""
        n = self._list_of(i)
        return self.of.path(self.index[n]).add_key(i - self.starts[n])

    def position(self, i: int) -> tuple[int, ...]:
        """The place of a value in the order of the answer."""
        n = self._list_of(i)
        return (*self.of.position(self.index[n]), i - self.starts[n])

    def _list_of(self, i: int) -> int:
        return bisect_right(self.starts, i) - 1


Column = FieldColumn | ItemColumn


def _columns_of(sources: Sequence[Any]) -> Mapping[str, Sequence[Any]]:
    kinds = set(map(type, sources))
    find = getattr(kinds.pop(), "__columns__", None) if len(kinds) == 1 else None
    columns: Mapping[str, Sequence[Any]] = find(sources) if find else {}
    return columns
