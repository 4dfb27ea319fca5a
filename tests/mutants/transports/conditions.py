"""Conditions that mean something else at the remote."""

from __future__ import annotations

import attrs

from tests.mutants.transports.bases import Loopback, broken
from tidesync.contracts.transport import Page, PullRequest
from tidesync.query import And, Arithmetic, Call, Compare, Expr, In, Negate, Not, Or, Value, all_of
from tidesync.values import ColumnType


class _Translated(Loopback):
    """Conditions are translated part by part, from the inside out; a mistake translates one of them wrongly."""

    def part(self, expr: Expr) -> Expr:
        """What becomes of a part whose own parts are translated."""
        return expr

    def pull(self, request: PullRequest, /) -> Page:
        where = request.query.where
        if where is not None:
            request = attrs.evolve(request, query=attrs.evolve(request.query, where=self._whole(where)))
        return super().pull(request)

    def _whole(self, expr: Expr) -> Expr:
        match expr:
            case Compare(_, left, right) | Arithmetic(_, left, right):
                expr = attrs.evolve(expr, left=self._whole(left), right=self._whole(right))
            case And(items) | Or(items):
                expr = attrs.evolve(expr, items=tuple(map(self._whole, items)))
            case Call(_, arguments):
                expr = attrs.evolve(expr, arguments=tuple(map(self._whole, arguments)))
            case In(item) | Not(item) | Negate(item):
                expr = attrs.evolve(expr, item=self._whole(item))
            case _:
                pass
        return self.part(expr)


@broken("test_comparisons_mean_what_they_say")
class GreaterOrEqualIsGreater(_Translated):
    """`>=` is sent as `gt`."""

    def part(self, expr: Expr) -> Expr:
        return attrs.evolve(expr, op="gt") if isinstance(expr, Compare) and expr.op == "ge" else expr


@broken("test_comparisons_mean_what_they_say")
class InNothingIsAnything(_Translated):
    """A membership in an empty list is left out, as if it were no condition."""

    def part(self, expr: Expr) -> Expr:
        return And(()) if isinstance(expr, In) and not expr.values else expr


@broken("test_conditions_on_what_is_not_there")
class UnequalAsInSql(_Translated):
    """A value that is null is not unequal to anything, as in SQL."""

    def part(self, expr: Expr) -> Expr:
        if isinstance(expr, Compare) and expr.op == "ne" and expr.right != Value(None, ColumnType.ANY):
            return And((expr, Compare("ne", expr.left, Value(None))))
        return expr


@broken("test_conditions_on_what_is_not_there")
class NegationAsInSql(_Translated):
    """The negation of a comparison with a field that is null is not true either, as in SQL."""

    def part(self, expr: Expr) -> Expr:
        if isinstance(expr, Not) and isinstance(expr.item, Compare):
            return And((expr, Compare("ne", expr.item.left, Value(None))))
        return expr


@broken("test_conditions_on_any_text")
class CaseDoesNotCount(_Translated):
    """The collation of text columns does not tell capitals from small letters."""

    def part(self, expr: Expr) -> Expr:
        if not isinstance(expr, Compare) or expr.op != "eq" or not isinstance(expr.right, Value):
            return expr
        if not isinstance(expr.right.value, str) or expr.right.type is not ColumnType.STRING:
            return expr
        return attrs.evolve(expr, left=Call("lower", (expr.left,)), right=Call("lower", (expr.right,)))


@broken("test_conditions_on_any_text")
class WildcardsOfLike(_Translated):
    """`contains` becomes LIKE, where % in what is looked for stands for anything."""

    def part(self, expr: Expr) -> Expr:
        match expr:
            case Call("contains", (field, Value(str(text), type))):
                return (
                    all_of(*(Call("contains", (field, Value(part, type))) for part in text.split("%")))
                    or expr
                )
            case _:
                return expr


@broken("test_functions_and_arithmetic_in_conditions")
class MonthsFromNothing(_Translated):
    """Months are counted from 0, as JavaScript does."""

    def part(self, expr: Expr) -> Expr:
        if isinstance(expr, Call) and expr.function == "month":
            return Arithmetic("sub", expr, Value(1, ColumnType.INTEGER))
        return expr


@broken("test_functions_and_arithmetic_in_conditions")
class WholeQuotients(_Translated):
    """Integers are divided to integers."""

    def part(self, expr: Expr) -> Expr:
        return Call("floor", (expr,)) if isinstance(expr, Arithmetic) and expr.op == "div" else expr


@broken("test_comparisons_mean_what_they_say")
class NoParentheses(_Translated):
    """Conditions are written as text without parentheses, and `and` binds more tightly than `or`."""

    def part(self, expr: Expr) -> Expr:
        match expr:
            case And((Or(items), *rest)) if len(items) > 1:
                return Or((*items[:-1], And((items[-1], *rest))))
            case _:
                return expr


@broken("test_any_condition")
class NotOfNothing(_Translated):
    """A `not` before a group of conditions is lost with its parentheses."""

    def part(self, expr: Expr) -> Expr:
        return expr.item if isinstance(expr, Not) and isinstance(expr.item, And | Or) else expr


@broken("test_a_condition_narrows")
class NoCondition(Loopback):
    """Conditions are not sent: every pull brings the whole table."""

    def pull(self, request: PullRequest, /) -> Page:
        query = attrs.evolve(request.query, where=None)
        return attrs.evolve(super().pull(attrs.evolve(request, query=query)), exact=False)
