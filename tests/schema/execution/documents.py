"""Documents made up from a schema: whatever a client could ask, in all the ways that GraphQL has."""

from random import Random
from typing import Any, NamedTuple

import orjson
from graphql import (
    DocumentNode,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    is_leaf_type,
    is_required_argument,
    is_required_input_field,
    parse,
    validate,
)

INTROSPECTION = (
    "__schema { queryType { name } types { name kind fields(includeDeprecated: true) { name args { name defaultValue } "
    "type { kind name ofType { name kind } } } interfaces { name } possibleTypes { name } enumValues { name } } "
    "directives { name locations isRepeatable } }",
    '__type(name: "Query") { name kind fields { name isDeprecated type { name ofType { name } } } }',
    '__type(name: "Nothing") { name }',
)


class MadeUp(NamedTuple):
    """A valid document with variables that fit most of the time."""

    text: str
    document: DocumentNode
    variables: dict[str, Any]


class DocumentMaker:
    """Makes documents that are valid in a schema; `literals` has values of custom scalars, by name, as in JSON."""

    def __init__(self, schema: GraphQLSchema, literals: dict[str, list[Any]], random: Random) -> None:
        self._schema = schema
        self._literals = literals
        self._random = random
        enums = [type_ for type_ in schema.type_map.values() if isinstance(type_, GraphQLEnumType)]
        self._enums = frozenset(name for type_ in enums for name in type_.values)

    def make(self, max_depth: int = 4, max_length: int = 3_000) -> MadeUp:
        """The next document; those that turn out too long, or not to be valid, are thrown away."""
        while True:
            self._variables: dict[str, tuple[str, Any, str]] = {}
            self._fragments: dict[str, str] = {}
            self._argument_texts: dict[tuple[str, str], str] = {}
            assert self._schema.query_type
            selections = self._selections(self._schema.query_type, max_depth)
            if self._chance(0.05):
                selections += " " + self._random.choice(INTROSPECTION)
            defined = [f"${name}: {type_}{default}" for name, (type_, _, default) in self._variables.items()]
            signature = f"({', '.join(defined)})" if defined else ""
            text = f"query Made{signature} {{ {selections} }} {' '.join(self._fragments.values())}"
            if len(text) > max_length:
                continue
            document = parse(text)
            if not validate(self._schema, document):
                variables = {name: value for name, (_, value, _) in self._variables.items() if value is not ...}
                return MadeUp(text, document, variables)

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def _selections(self, type_: Any, depth: int) -> str:
        if isinstance(type_, GraphQLUnionType):
            names = []
        else:
            fields = list(type_.fields.items())
            usable = [(n, f) for n, f in fields if depth > 0 or is_leaf_type(get_named_type(f.type))]
            names = self._random.sample(usable, min(len(usable), self._random.choice((1, 1, 2, 2, 3, 5))))
        made = [self._field(name, field, depth) for name, field in names]
        if names and self._chance(0.3):
            made.append(self._field(*self._random.choice(names), depth))  # the same again, to be merged
        if self._chance(0.3) or not made:
            made.append("__typename" if self._chance(0.7) else "kind: __typename")
        if depth > 0:
            made += [self._fragment(type_, depth - 1) for _ in range(self._random.choice((0, 0, 0, 0, 1, 1, 2)))]
        self._random.shuffle(made)
        return " ".join(made)

    def _field(self, name: str, field: GraphQLField, depth: int) -> str:
        alias = f"{name}{self._random.randint(1, 2)}" if self._chance(0.2) else ""
        key = (alias, name)
        if key not in self._argument_texts:
            self._argument_texts[key] = self._arguments(field)
        text = f"{f'{alias}: ' if alias else ''}{name}{self._argument_texts[key]}{self._directives()}"
        of = get_named_type(field.type)
        return text if is_leaf_type(of) else f"{text} {{ {self._selections(of, depth - 1)} }}"

    def _fragment(self, type_: Any, depth: int) -> str:
        conditions = [t for t in self._schema.type_map.values() if self._may_overlap(type_, t)]
        condition = self._random.choice(conditions)
        selections = self._selections(condition, depth)
        if self._chance(0.5):
            named = f" on {condition.name}" if condition is not type_ or self._chance(0.5) else ""
            return f"...{named}{self._directives()} {{ {selections} }}"
        if self._fragments and self._chance(0.3):
            return f"...{self._random.choice(list(self._fragments))}{self._directives()}"
        name = f"F{len(self._fragments)}"
        self._fragments[name] = f"fragment {name} on {condition.name} {{ {selections} }}"
        return f"...{name}{self._directives()}"

    def _may_overlap(self, type_: Any, other: Any) -> bool:
        if other.name.startswith("__") or not isinstance(
            other, GraphQLObjectType | GraphQLInterfaceType | GraphQLUnionType
        ):
            return False
        return bool(self._possible(type_) & self._possible(other))

    def _possible(self, type_: Any) -> set[str]:
        if isinstance(type_, GraphQLObjectType):
            return {type_.name}
        return {possible.name for possible in self._schema.get_possible_types(type_)}

    def _directives(self) -> str:
        if not self._chance(0.12):
            return ""
        name = self._random.choice(("skip", "include"))
        condition = f"${self._boolean()}" if self._chance(0.6) else self._random.choice(("true", "false"))
        return f" @{name}(if: {condition})"

    def _boolean(self) -> str:
        name = f"b{self._random.randint(0, 3)}"
        if name not in self._variables:
            value = self._chance(0.5)
            has_default = self._chance(0.3)
            self._variables[name] = (
                "Boolean!",
                ... if has_default else value,
                f" = {str(value).lower()}" if has_default else "",
            )
        return name

    def _arguments(self, field: GraphQLField) -> str:
        given = [
            f"{name}: {self._argument(argument.type)}"
            for name, argument in field.args.items()
            if is_required_argument(argument) or self._chance(0.5)
        ]
        return f"({', '.join(given)})" if given else ""

    def _argument(self, type_: GraphQLInputType) -> str:
        if self._chance(0.4):
            name = f"v{len(self._variables)}"
            default = f" = {self._literal(type_)}" if self._chance(0.2) and not self._chance(0.2) else ""
            value = ... if default and self._chance(0.5) else self._value(type_)
            if not default and not isinstance(type_, GraphQLNonNull) and self._chance(0.2):
                value = ...
            self._variables[name] = (str(type_), value, default)
            return f"${name}"
        return self._literal(type_)

    def _literal(self, type_: GraphQLInputType) -> str:
        return _printed(self._value(type_), self._enums)

    def _value(self, type_: Any) -> Any:
        if isinstance(type_, GraphQLNonNull):
            return self._value_there(type_.of_type)
        return None if self._chance(0.15) else self._value_there(type_)

    def _value_there(self, type_: Any) -> Any:
        if isinstance(type_, GraphQLList):
            return [self._value(type_.of_type) for _ in range(self._random.randint(0, 3))]
        if isinstance(type_, GraphQLEnumType):
            return self._random.choice(list(type_.values))
        if isinstance(type_, GraphQLInputObjectType):
            return {
                name: self._value(field.type)
                for name, field in type_.fields.items()
                if is_required_input_field(field) or self._chance(0.4)
            }
        return self._random.choice(_SCALARS.get(type_.name) or self._literals[type_.name])


_SCALARS: dict[str, list[Any]] = {
    "Int": [0, 1, 2, 7, -3, 2**31 - 1],
    "Float": [0, 0.5, -1.25, 3, 1e10],
    "String": ["", "a", "FRA", 'quote " and \\ and \n', "\u00fc\u2028"],
    "Boolean": [True, False],
    "ID": ["1", "abc", 5],
}


def _printed(value: Any, enums: frozenset[str]) -> str:
    """A value as a literal; the names of the values of enums have no quotes."""
    match value:
        case list():
            return f"[{', '.join(_printed(item, enums) for item in value)}]"
        case dict():
            return f"{{{', '.join(f'{name}: {_printed(item, enums)}' for name, item in value.items())}}}"
        case str() if value in enums:
            return value
    return orjson.dumps(value).decode()
