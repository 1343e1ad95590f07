"""README.md has the settings of the code."""

from __future__ import annotations

from config.settings_table import BEGIN, END, settings_table, with_table
from tests.docs.blocks import ROOT


def test_table_replaces_what_stands_between_its_marks() -> None:
    text = with_table(f"before\n{BEGIN}\nstale line\n{END}\nafter\n")
    assert text.startswith(f"before\n{BEGIN}\n\n| variable |")
    assert text.endswith(f"|\n\n{END}\nafter\n")
    assert "stale line" not in text
    assert "| `CHUNKCRAWL_PORT` | `8000` |" in settings_table()


def test_readme_has_the_settings_of_the_code() -> None:
    """Run `make docs-settings` when this fails."""
    text = (ROOT / "README.md").read_text()
    assert text == with_table(text)
