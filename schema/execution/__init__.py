"""Execution of operations, a column at a time: docs/execution.md draws it.

graphql-core completes one value after the other, and pays for each what it needs to know about any. Here what an
operation asks is worked out once, as a `Plan`; executing it takes all objects of a list together: one field of all of
them is a column, which is resolved, checked and put in place as a whole. The answer is that of graphql-core, with the
same errors in the same order.
"""

from schema.execution.plan import Plan

__all__ = ["Plan"]
