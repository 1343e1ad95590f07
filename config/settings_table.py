"""The settings as a Markdown table, and the place in README.md that it is kept in.

``python -m config.settings_table README.md`` (``make docs-settings``) writes it; a test holds the file against it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

from config.settings import ENV_PREFIX, Settings

BEGIN: Final = "<!-- settings: begin, written by `make docs-settings` -->"
END: Final = "<!-- settings: end -->"


def settings_table() -> str:
    """Return a row for each setting: variable, default, meaning."""
    rows = ["| variable | default | what |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        choices = _choices(field.annotation)
        what = f"{choices}. {field.description}" if choices else field.description
        rows.append(f"| `{ENV_PREFIX}{name.upper()}` | {_default(field.default)} | {what} |")
    return "\n".join(rows) + "\n"


def with_table(text: str) -> str:
    """Return ``text`` with the table between its two marks written anew.

    Raises:
        ValueError: A mark is missing.
    """
    head, found_begin, rest = text.partition(BEGIN)
    _, found_end, tail = rest.partition(END)
    if not (found_begin and found_end):
        raise ValueError("the marks of the settings table are missing")
    return f"{head}{BEGIN}\n\n{settings_table()}\n{END}{tail}"


def _choices(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(annotation))
    return ""


def _default(value: Any) -> str:
    if value is None or value in ("", ()):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def main() -> None:
    """Write the table into the file that the command line names."""
    path = Path(sys.argv[1])
    path.write_text(with_table(path.read_text()))


if __name__ == "__main__":
    main()
