"""What a tool answers: a text for the model, and the same in fields for programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["Answer"]


class Answer(str):
    """The text; ``fields`` has the rest, without what is None.

    Attributes:
        fields: ``ok``, ``reason`` (a stable code), ``stale`` (what it shows is the past), where the agent stands
            (``chunk_id``, ``x``, ``y``), what it carries (``gold``), and what the tool adds.
    """

    __slots__ = ("fields",)

    fields: dict[str, Any]

    def __new__(cls, text: str, fields: Mapping[str, Any] | None = None) -> Answer:
        """Make an answer of a text and fields."""
        made = super().__new__(cls, text)
        made.fields = {name: value for name, value in (fields or {}).items() if value is not None}
        return made

    def after(self, line: str) -> Answer:
        """Return the same with a line more at its end; without one, itself."""
        return Answer(f"{self} {line}", self.fields) if line else self
