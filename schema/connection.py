"""Relay's connections: pages of a list with cursors."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any, Generic, TypeVar

import strawberry

from resolvers.page import DEFAULT_PAGE, MAX_PAGE, Page

NodeType = TypeVar("NodeType")

First = Annotated[
    int | None,
    strawberry.argument(
        description=f"How many from the start: at most {MAX_PAGE}, {DEFAULT_PAGE} when nothing is said."
    ),
]
After = Annotated[str | None, strawberry.argument(description="Only what follows this cursor.")]
Last = Annotated[int | None, strawberry.argument(description=f"How many from the end: at most {MAX_PAGE}.")]
Before = Annotated[str | None, strawberry.argument(description="With `last`: only what precedes this cursor.")]


@strawberry.type(description="Where a page is in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether there is more behind this page.")
    has_previous_page: bool = strawberry.field(description="Whether there is more before this page.")
    start_cursor: str | None = strawberry.field(description="The cursor of the first item, null on an empty page.")
    end_cursor: str | None = strawberry.field(description="The cursor of the last item, null on an empty page.")


@strawberry.type(description="An item of a list with its cursor.")
class Edge(Generic[NodeType]):
    node: NodeType = strawberry.field(description="The item.")
    place: strawberry.Private[Callable[[], str]]

    @strawberry.field(description="Where this item stands, for `after` and `before`.")
    def cursor(self) -> str:
        return self.place()


@strawberry.type(description="A page of a list.")
class Connection(Generic[NodeType]):
    nodes: list[NodeType] = strawberry.field(description="The items of this page.")
    page: strawberry.Private[Page[Any]]
    cursor: strawberry.Private[Callable[[Any], str]]
    count: strawberry.Private[Callable[[], Awaitable[int]]]

    @strawberry.field(description="The items of this page with their cursors.")
    def edges(self) -> list[Edge[NodeType]]:
        items = zip(self.nodes, self.page.items, strict=True)
        return [Edge(node=node, place=partial(self.cursor, item)) for node, item in items]

    @strawberry.field(description="Where this page is in the list.")
    def page_info(self) -> PageInfo:
        page = self.page
        return PageInfo(
            has_next_page=page.has_next,
            has_previous_page=page.has_previous,
            start_cursor=self.cursor(page.items[0]) if page.items else None,
            end_cursor=self.cursor(page.items[-1]) if page.items else None,
        )

    @strawberry.field(description="How many items the whole list has; counted only when asked for.")
    async def total_count(self) -> int:
        return await self.count()


def connection(
    page: Page[Any],
    cursor: Callable[[Any], str],
    count: Callable[[], Awaitable[int]],
    show: Callable[[Any], Any] | None = None,
) -> Connection[Any]:
    """The connection of a page; `cursor` makes an item's cursor, `show` the item as the graph has it if it differs."""
    nodes = [show(item) for item in page.items] if show else page.items
    return Connection(nodes=nodes, page=page, cursor=cursor, count=count)
