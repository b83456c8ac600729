"""The examples in docs/ give what they say: an ```sql block followed by a ```text block is a statement and psql's output.

The runbook has a test of its own, test_runbook.py.
"""

import pathlib
import re

import pytest

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
EXAMPLE = re.compile(r"^```sql\n(.*?)^```\n```text\n(.*?)^```$", re.M | re.S)
EXAMPLES = [(path.name, match[1], match[2]) for path in sorted(DOCS.glob("*.md")) if path.name != "runbook.md" for match in EXAMPLE.finditer(path.read_text())]


def without_trailing_space(text):
    return "\n".join(line.rstrip() for line in text.strip("\n").split("\n"))


def test_there_are_examples():
    assert "uuid.md" in {name for name, _, _ in EXAMPLES}


@pytest.mark.parametrize("name, statement, output", EXAMPLES)
def test_example(psql, name, statement, output):
    assert without_trailing_space(psql(statement, options=["-q"])) == without_trailing_space(output)
