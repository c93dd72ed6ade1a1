"""Which scope a field needs: shown in the SDL as a directive, told in its description, and checked before it runs."""

from enum import Enum
from typing import Any

import strawberry
from strawberry import Info
from strawberry.extensions.field_extension import AsyncExtensionResolver, FieldExtension, SyncExtensionResolver
from strawberry.schema_directive import Location
from strawberry.types.field import StrawberryField

from resolvers.identity import Scope
from schema.context import context_of


@strawberry.enum(name="Scope", description="What a client may do.")
class GrantedScope(Enum):
    """The scopes, each with its description."""

    READ = strawberry.enum_value(Scope.READ, description="Ask for everything that is recorded.")
    PUBLISH = strawberry.enum_value(Scope.PUBLISH, description="Post results, and tell of probes and benchmarks.")
    WATCH = strawberry.enum_value(
        Scope.WATCH, description="Play streams as a viewer, and see what viewers watch who are known by their ids."
    )
    ADMIN = strawberry.enum_value(
        Scope.ADMIN,
        description="Withdraw results, name regions, link nodes, and set viewers' limits; includes the other scopes.",
    )


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    name="requires",
    description="The scope that a client must have; what is below the field needs no further one.",
)
class Required:
    scope: GrantedScope = strawberry.directive_field(name="scope")


class Requires(FieldExtension):
    """Lets a field run only for clients with a scope."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    def apply(self, field: StrawberryField) -> None:
        """Show it in the SDL, and to those who read descriptions in an IDE."""
        field.directives = [*field.directives, Required(scope=GrantedScope(self.scope))]
        if self.scope is not Scope.READ:
            field.description = f"{field.description} Needs the scope {self.scope}."

    def resolve(self, next_: SyncExtensionResolver, source: Any, info: Info, **kwargs: Any) -> Any:
        """Check, and go on."""
        context_of(info).require(self.scope, info.field_name)
        return next_(source, info, **kwargs)

    async def resolve_async(self, next_: AsyncExtensionResolver, source: Any, info: Info, **kwargs: Any) -> Any:
        """Check, and go on."""
        context_of(info).require(self.scope, info.field_name)
        return await next_(source, info, **kwargs)


READ, PUBLISH = Requires(Scope.READ), Requires(Scope.PUBLISH)
WATCH, ADMIN = Requires(Scope.WATCH), Requires(Scope.ADMIN)
