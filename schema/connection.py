"""Relay's connections: pages of a list with cursors."""

from collections.abc import Awaitable, Callable
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
    cursor: str = strawberry.field(description="Where this item stands, for `after` and `before`.")
    node: NodeType = strawberry.field(description="The item.")


@strawberry.type(description="A page of a list.")
class Connection(Generic[NodeType]):
    edges: list[Edge[NodeType]] = strawberry.field(description="The items of this page with their cursors.")
    nodes: list[NodeType] = strawberry.field(description="The items of this page.")
    page_info: PageInfo = strawberry.field(description="Where this page is in the list.")
    count: strawberry.Private[Callable[[], Awaitable[int]]]

    @strawberry.field(description="How many items the whole list has; counted only when asked for.")
    async def total_count(self) -> int:
        return await self.count()


def connection(
    page: Page[Any],
    cursor: Callable[[Any], str],
    count: Callable[[], Awaitable[int]],
    show: Callable[[Any], Any] = lambda item: item,
) -> Connection[Any]:
    """The connection of a page; `cursor` makes an item's cursor, `show` the item as the graph has it."""
    cursors = [cursor(item) for item in page.items]
    nodes = [show(item) for item in page.items]
    return Connection(
        edges=[Edge(cursor=place, node=item) for place, item in zip(cursors, nodes, strict=True)],
        nodes=nodes,
        page_info=PageInfo(
            has_next_page=page.has_next,
            has_previous_page=page.has_previous,
            start_cursor=cursors[0] if cursors else None,
            end_cursor=cursors[-1] if cursors else None,
        ),
        count=count,
    )
