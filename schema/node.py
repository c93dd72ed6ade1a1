"""Relay's global object identification: one opaque id for every object."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import orjson
import strawberry

from resolvers.errors import InvalidArgument


@strawberry.interface(description="An object with a global id, under which `node` finds it again.")
class Node:
    @strawberry.field(description="The global id; opaque, and stable for ever.")
    def id(self) -> strawberry.ID:
        raise TypeError(f"{type(self)} has no id of its own")


def global_id(type_name: str, *key: Any) -> strawberry.ID:
    """The id of an object by its type and what names it there."""
    return strawberry.ID(urlsafe_b64encode(orjson.dumps((type_name, *key))).decode().rstrip("="))


def from_global_id(id_: str) -> tuple[str, list[Any]]:
    """The type and key in an id of ours; InvalidArgument for any other."""
    try:
        type_name, *key = orjson.loads(urlsafe_b64decode(id_ + "=" * (-len(id_) % 4)))
    except (ValueError, TypeError):
        raise InvalidArgument("id: this is no id of this service", field="id") from None
    return str(type_name), key
