"""A library: a small Strawberry schema whose fields are resolved in all the ways that Strawberry has."""

from collections.abc import AsyncIterator, Sequence
from datetime import date
from enum import Enum
from typing import Annotated, Any, ClassVar, Generic, TypeVar

import strawberry
from strawberry import Info
from strawberry.dataloader import DataLoader
from strawberry.extensions.field_extension import FieldExtension
from strawberry.permission import BasePermission

Item = TypeVar("Item")


@strawberry.enum
class Genre(Enum):
    NOVEL = "novel"
    POEM = strawberry.enum_value("poem", deprecation_reason="too short")


@strawberry.input
class BookFilter:
    genre: Genre | None = None
    titles: list[str | None] | None = None
    since: date | None = strawberry.UNSET
    nested: "BookFilter | None" = None


class Loud(FieldExtension):
    """Answers in capitals."""

    def resolve(self, next_: Any, source: Any, info: Info, **kwargs: Any) -> Any:
        return next_(source, info, **kwargs).upper()


class Members(BasePermission):
    """Lets in who has an even number."""

    message = "members only"

    def has_permission(self, source: Any, info: Info, **kwargs: Any) -> bool:
        return bool(source.number % 2 == 0)


@strawberry.interface
class Numbered:
    number: int

    @strawberry.field
    def id(self) -> strawberry.ID:
        return strawberry.ID(f"{type(self).__name__}:{self.number}")


@strawberry.type
class Page(Generic[Item]):
    items: list[Item]
    start: int | None

    @strawberry.field
    def size(self) -> int:
        return len(self.items)


@strawberry.type
class Author(Numbered):
    name: str | None

    @strawberry.field
    async def books(self, info: Info, first: int = 2, filter: BookFilter | None = None) -> list["Book"]:
        if first < 0:
            raise ValueError(f"first: {first}")
        return [Book.make(self.number + n) for n in range(min(first, 4)) if filter is None or filter.titles != []]

    @strawberry.field
    def shy(self) -> Annotated["Author | Book | None", strawberry.union("Anything")]:
        return None if self.number % 3 else Book.make(self.number)  # type: ignore[return-value]


def _shelves(books: Sequence["Book"], info: Info) -> Any:
    """All at once: a list, or an awaitable of it, or nothing at all."""
    numbers = [book.number for book in books]
    if 3 in numbers:
        raise RuntimeError("book 3 is nowhere")
    shelves = [None if number == 1 else f"shelf {number}" for number in numbers]
    return _later(shelves) if 2 in numbers else shelves


async def _later(values: list[Any]) -> list[Any]:
    return values


@strawberry.type
class Book(Numbered):
    title: str
    genre: Genre
    price: float
    published: date
    tags: list[list[str] | None]

    @classmethod
    def make(cls, number: int) -> "Book":
        return cls(
            number=number,
            title=f"Book {number}",
            genre=Genre.POEM if number % 2 else Genre.NOVEL,
            price=number / 4 if number != 5 else float("inf"),
            published=date(2026, 1, 1 + number % 28),
            tags=[["a", "b"], None, []][: number % 4],
        )

    @strawberry.field
    def author(self, info: Info) -> Author | None:
        return info.context["authors"].load(self.number)

    @strawberry.field
    def required_author(self, info: Info) -> Author:
        return info.context["authors"].load(self.number)

    @strawberry.field(metadata={"many": _shelves})
    async def shelf(self, info: Info) -> str | None:
        found = _shelves([self], info)
        return (await found if self.number == 2 else found)[0]

    @strawberry.field
    async def path(self, info: Info) -> str:
        return ".".join(map(str, info.path.as_list()))

    @strawberry.field(extensions=[Loud()])
    def loud_title(self) -> str:
        return self.title

    @strawberry.field(permission_classes=[Members])
    def secret(self) -> str | None:
        return "hidden"

    @strawberry.field
    def same(self, root: "Book") -> "Book":
        return root

    @strawberry.field
    def parent_title(parent: strawberry.Parent["Book"]) -> str:  # noqa: N805
        return parent.title

    @strawberry.field
    def echo(self, number: int | None = None, text: str = "x", days: list[date] | None = None) -> str:
        return f"{number} {text} {days}"

    @strawberry.field
    def broken(self) -> str:
        if self.number % 2:
            raise RuntimeError(f"book {self.number} is broken")
        return "whole"

    @strawberry.field
    async def related(self) -> list["Book | None"]:
        return [None if n == 1 else Book.make(self.number + n) for n in range(3)]


class ShelfRow(dict[str, Any]):
    """A shelf as a database answers it; `together` counts how many were read in the faster way."""

    together: ClassVar[list[int]] = []

    @classmethod
    def __columns__(cls, rows: Sequence["ShelfRow"]) -> dict[str, list[Any]]:
        cls.together.append(len(rows))
        return {name: [row[name] for row in rows] for name in rows[0]}

    def __getattr__(self, name: str) -> Any:
        if name not in self:
            raise AttributeError(name)
        return self[name]


@strawberry.type
class Shelf:
    label: str
    width: int | None


@strawberry.type
class Query:
    @strawberry.field
    def shelves(self) -> list[Shelf]:
        rows: Any = [ShelfRow(label="a", width=1), ShelfRow(label="b", width=None)]
        return list(rows)

    @strawberry.field
    def books(self, info: Info, first: int = 3) -> Page[Book]:
        return Page(items=[Book.make(n) for n in range(min(max(first, 0), 7))], start=first)

    @strawberry.field
    async def numbered(self, kind: Genre | None = None) -> list[Numbered]:
        return [Book.make(1), Author(number=2, name=None), Book.make(3)][: 2 if kind else 3]

    @strawberry.field
    def anything(self) -> list[Annotated["Author | Book", strawberry.union("Something")]]:
        return [Author(number=1, name="A"), Book.make(2), object()]  # type: ignore[list-item]

    @strawberry.field
    def author(self, info: Info, number: int) -> Author:
        return info.context["authors"].load(number)


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def published(self) -> AsyncIterator[Book]:
        yield Book.make(1)


schema = strawberry.Schema(query=Query, subscription=Subscription, types=[Author, Book])
LIBRARY = schema._schema
DATES: dict[str, list[Any]] = {"Date": ["2026-02-03", "2025-12-31", "no date", 5]}


def library_context() -> dict[str, Any]:
    """The context of a request: it loads authors; number 4 does not load, 6 has no author."""
    return {"authors": DataLoader(load_fn=_authors)}


async def _authors(numbers: list[int]) -> list[Any]:
    return [_author(number) for number in numbers]


def _author(number: int) -> Author | Exception | None:
    if number == 4:
        return LookupError("author 4 is lost")
    return None if number == 6 else Author(number=number, name=f"Author {number}" if number % 5 else None)
