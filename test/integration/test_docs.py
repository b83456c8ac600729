"""The examples in docs/ give what they say: an ```sql block followed by a ```text block is a statement and psql's output.

The runbook and the page on several nodes have tests of their own: test_runbook.py, test_several_nodes.py.
"""

import pathlib
import re

import pytest

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
TESTED_ELSEWHERE = {"runbook.md", "several-nodes.md"}
EXAMPLE = re.compile(r"^```sql\n(.*?)^```\n```text\n(.*?)^```$", re.M | re.S)
EXAMPLES = [(path.name, match[1], match[2]) for path in sorted(DOCS.glob("*.md")) if path.name not in TESTED_ELSEWHERE
            for match in EXAMPLE.finditer(path.read_text())]


def without_trailing_space(text):
    return "\n".join(line.rstrip() for line in text.strip("\n").split("\n"))


def test_there_are_examples():
    assert "uuid.md" in {name for name, _, _ in EXAMPLES}


@pytest.mark.parametrize("name, statement, output", EXAMPLES)
def test_example(psql, name, statement, output):
    assert without_trailing_space(psql(statement, options=["-q"])) == without_trailing_space(output)
