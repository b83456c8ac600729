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


DEVIATIONS = []


def explanation(text, commands, pushed, kept):
    """The Deviation that explains a disagreement, or None."""
    return next((d for d in DEVIATIONS if d.explains(text, commands, pushed, kept)), None)
