"""When two answers agree: that of the tables with pushdown and that of the tables without."""

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

# Errors that come with a row: a conversion that is refused, an overflow, a division by zero (class 22), a collation that an
# operator does not take. A pushed filter may pass over the document that has it.
_OF_A_ROW = ("22", "0A000", "42P22")
CANCELLED = "57014"
CRASH = "crash"  # in place of an SQLSTATE: the backend is gone


@dataclass
class Outcome:
    """What a statement gave: rows of texts and Nones, or an error; and the warnings."""

    rows: list = None
    sqlstate: str = None
    message: str = None
    warnings: tuple = ()

    def __str__(self):
        if self.rows is None:
            return f"ERROR {self.sqlstate}: {self.message}"
        lines = ["  " + " | ".join("NULL" if value is None else value for value in row) for row in self.rows[:40]]
        if len(self.rows) > 40:
            lines.append("  …")
        return "\n".join([f"{len(self.rows)} rows", *lines, *(f"WARNING: {warning}" for warning in self.warnings)])


def difference(query, pushed, kept, due_to_plan):
    """Why the outcomes `pushed` and `kept` of a query disagree, or None.

    due_to_plan()  asked where one side has an error and the other has not, or another one: whether that is so because the plan
                   decides which rows an expression is evaluated for, and in which order
    """
    if CRASH in (pushed.sqlstate, kept.sqlstate):
        return "a crash"
    if CANCELLED in (pushed.sqlstate, kept.sqlstate):
        return None
    if pushed.rows is None and kept.rows is None:
        if pushed.sqlstate == kept.sqlstate:
            return None
        if query.narrows() and kept.sqlstate.startswith(_OF_A_ROW) and pushed.sqlstate.startswith(_OF_A_ROW):
            return None
        return None if due_to_plan() else "different errors"
    if kept.rows is None:
        if query.narrows() and kept.sqlstate.startswith(_OF_A_ROW):
            return None
        return None if due_to_plan() else "no error with pushdown"
    if pushed.rows is None:
        if pushed.sqlstate.startswith(_OF_A_ROW) and due_to_plan():
            return None
        return "an error with pushdown only"
    return _rows_difference(query, pushed.rows, kept.rows) or _warnings_difference(query, pushed, kept)


def _rows_difference(query, pushed, kept):
    if len(pushed) != len(kept):
        return "different numbers of rows"
    chosen = {number: item.ignores_case() for number, item in enumerate(query.items) if item.chosen}
    rounded = [number for number, item in enumerate(query.items) if item.rounded()]
    pushed, kept = ([_as_compared(row, chosen, rounded) for row in rows] for rows in (pushed, kept))
    if query.order and query.total:
        return None if pushed == kept else "different rows, or in another order"
    if query.order:
        keys = len(query.order)
        if [row[-keys:] for row in pushed] != [row[-keys:] for row in kept]:
            return "another order"
    if (query.limit is not None or query.offset) and not query.total:
        return None  # any rows will do
    return None if Counter(pushed) == Counter(kept) else "different rows"


def _as_compared(row, chosen, rounded):
    if not chosen and not rounded:
        return row
    row = list(row)
    for number in rounded:
        if row[number] is not None:
            row[number] = f"{float(row[number]):.9g}"
    for number, ignores_case in chosen.items():
        if row[number] is not None:
            row[number] = same_for_equal_numbers(row[number])
            if ignores_case:
                row[number] = row[number].casefold()
    return tuple(row)


def same_for_equal_numbers(text):
    """The same text for 1.0 and 1.00, and for 0 and -0; any other text as it is."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    if not number.is_finite():
        return text
    return str(number.normalize()) if number else "0"


def _warnings_difference(query, pushed, kept):
    """An aggregate over everything warns of the same values as a scan."""
    if query.groups is not None and not query.narrows() and Counter(pushed.warnings) != Counter(kept.warnings):
        return "different warnings"
    return None
