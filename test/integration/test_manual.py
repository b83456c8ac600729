"""The manual says what the code does: its option tables are the code's, its functions and links exist."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()

SECTIONS = [
    ("On a server", "server"),
    ("On a user mapping", "user mapping"),
    ("On a foreign table", "table"),
    ("On a column", "column"),
    ("For IMPORT FOREIGN SCHEMA", "import"),
]


def option_tables(connection):
    rows = connection.execute("SELECT * FROM mongoferry.options()").fetchall()
    text = ""
    for title, level in SECTIONS:
        text += f"### {title}\n\n| option | takes | default | meaning |\n|---|---|---|---|\n"
        for name, levels, value, default, reads_files, description in rows:
            if level in levels.split(", "):
                takes = " ".join(f"`{v}`" for v in value.split("|")) if "|" in value else value
                text += f"| `{name}`{' †' if reads_files else ''} | {takes} | {default or ''} | {description} |\n"
        text += "\n"
    return text


def test_option_tables_are_those_of_the_code(connection):
    begin = re.search(r"<!-- options: begin.*?-->\n", README)
    expected = option_tables(connection)
    assert README[begin.end() : README.index("<!-- options: end -->")] == expected, (
        "README's option tables should be:\n" + expected
    )


def test_functions_of_the_manual_exist_and_none_is_forgotten(connection):
    section = README[README.index("\n## Functions") : README.index("\n## What is sent")]
    named = set(re.findall(r"mongoferry\.(\w+)\(", section))
    existing = {
        name
        for (name,) in connection.execute(
            "SELECT proname FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass"
            " JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'mongoferry' AND d.deptype = 'e'"
            " WHERE proname !~ '^(mongoferry_|objectid_|objectid$)'"
            " AND prokind = 'f' AND NOT EXISTS (SELECT FROM pg_operator o WHERE o.oprcode = p.oid)"
            " AND NOT EXISTS (SELECT FROM pg_cast c WHERE c.castfunc = p.oid AND proname NOT LIKE 'to\\_%')"
        )
    }
    assert named == existing


def test_links_within_the_manual_lead_somewhere():
    headings = {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", README, re.M)
    }
    links = set(re.findall(r"\]\(#([^)]*)\)", README))
    assert links and links <= headings
    for path in re.findall(r"`((?:docs|examples)/[\w./]+)`", README):
        assert (ROOT / path).exists(), path
