"""How to play, in Markdown: what MCP has as a resource and a prompt, and what a loop of one's own tells its model."""

from __future__ import annotations

from importlib import resources

__all__ = ["skill"]


def skill() -> str:
    """Return docs/SKILL.md without the head that other programs read."""
    text = (resources.files("chunkcrawl.mcp") / "SKILL.md").read_text(encoding="utf-8")
    return text.split("---\n", 2)[2].strip() if text.startswith("---\n") else text
