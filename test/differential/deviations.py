"""Where the test server, SecantusDB, differs from MongoDB's documented behaviour, and what the test does about it.

Each entry names the documentation's sentence. A deviation is kept out of the test at its root (documents or queries that
would meet it are not made, see `avoid`) or a disagreement that it explains is counted apart (`explains`).
"""

from dataclasses import dataclass
from typing import Callable


@dataclass(frozen=True)
class Deviation:
    """
    name           a few words
    documentation  what MongoDB's manual says, and where
    server         what the test server does instead
    explains       whether a disagreement is due to it: explains(query text, remote commands, pushed, kept)
    """

    name: str
    documentation: str
    server: str
    explains: Callable


def _year_refused(text, commands, pushed, kept):
    return pushed.sqlstate == "HV000" and "is out of range" in pushed.message and "invalid BSON in body: year" in pushed.message


def _groups_of_nan(text, commands, pushed, kept):
    def nans(outcome):
        return sum("NaN" in row for row in outcome.rows)

    groups = any("$group" in stage for command in commands for stage in command.get("pipeline", []))
    return groups and pushed.rows is not None and kept.rows is not None and nans(pushed) > nans(kept)


DEVIATIONS = [
    Deviation(
        "NaN in $group",
        "SERVER-18350, of the server's comparisons: \"NaN is equal to NaN but otherwise always compares to false.\"",
        "makes a group of its own of each NaN",
        _groups_of_nan),
    Deviation(
        "dates outside of the years 1 to 9999",
        "BSON Types, Date: \"BSON Date is a 64-bit integer that represents the number of milliseconds since the Unix epoch (Jan 1, 1970). "
        "This results in a representable date range of about 290 million years into the past and future.\"",
        "refuses documents and commands with such a date (\"year 10000 is out of range\"): the bound behind the day 9999-12-31, say",
        _year_refused),
]


def explanation(text, commands, pushed, kept):
    """The Deviation that explains a disagreement, or None."""
    return next((d for d in DEVIATIONS if d.explains(text, commands, pushed, kept)), None)
