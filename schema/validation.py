"""Documents, read: parsed, bounded and validated, in a time that their length bounds whatever is in them."""

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    NoSchemaIntrospectionCustomRule,
    OverlappingFieldsCanBeMergedRule,
    ValidationContext,
    parse,
    specified_rules,
    validate,
)

from schema.limits import Limits, check_limits, check_text, too_complex
from schema.overlaps import may_conflict

_RULES = [rule for rule in specified_rules if rule is not OverlappingFieldsCanBeMergedRule]
_COMPARISONS = 20_000  # some 20 ms
_TOO_COMPLEX = {"code": "TOO_COMPLEX"}
_ABORTED = "Validation aborted."  # by graphql-core, which counts some of its work


class DocumentReader:
    """Reads documents for one schema."""

    def __init__(self, schema: GraphQLSchema, *, limits: Limits, introspection: bool) -> None:
        self._schema = schema
        self._limits = limits
        self._hides_suggestions = not introspection
        self._rules = _RULES if introspection else [*_RULES, NoSchemaIntrospectionCustomRule]

    def read(self, text: str) -> tuple[DocumentNode | None, list[GraphQLError]]:
        """The document, or what is wrong with it."""
        limits = self._limits
        try:
            if errors := check_text(text, limits):
                return None, errors
            document = parse(text, max_lexical_tokens=limits.max_tokens)
            errors = self.errors_of(document)
        except GraphQLSyntaxError as error:
            if error.message.endswith("tokens. Parsing aborted."):
                error.extensions = too_complex("maxTokens", limits.max_tokens)
            elif error.message.endswith("nested too deeply. Parsing aborted."):
                error.extensions = _TOO_COMPLEX
            return None, [error]
        except RecursionError:
            return None, [GraphQLError("The document is nested too deeply.", extensions=_TOO_COMPLEX)]
        return (None, errors) if errors else (document, [])

    def errors_of(self, document: DocumentNode) -> list[GraphQLError]:
        """What is too large in a parsed document, or else does not fit the schema."""
        return check_limits(document, self._limits) or self._validate(document)

    def _validate(self, document: DocumentNode) -> list[GraphQLError]:
        found = validate(
            self._schema,
            document,
            [*self._rules, _OverlapsRule] if may_conflict(self._schema, document) else self._rules,
            max_errors=self._limits.max_errors,
            hide_suggestions=self._hides_suggestions,
        )
        return [_told(error) for error in found[: self._limits.max_errors]]


class _OverlapsRule(OverlappingFieldsCanBeMergedRule):
    """graphql-core's rule, for its words: it is asked when something is known to be wrong, and need not find it all."""

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        self.rule_context.remaining_complexity_budget = _COMPARISONS


def _told(error: GraphQLError) -> GraphQLError:
    if error.message != _ABORTED:
        return error
    return GraphQLError("Too many fields overlap to tell which ones conflict.", extensions=_TOO_COMPLEX)
