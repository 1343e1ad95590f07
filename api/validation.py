"""What a request of the wrong shape has broken, in words: the field and the rule that holds for it, never its value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

NAME_MAX_CHARS: Final = 64
PLACES: Final = frozenset({"body", "query", "path", "header"})

#: The rule in words, by the validator's code.  What stands in braces comes from the rule itself, not from the request.
RULES: Final[Mapping[str, str]] = {
    "missing": "is missing",
    "string_type": "must be a text",
    "string_unicode": "must be a text of whole characters (no lone surrogates)",
    "string_too_short": "has {min_length} characters at least",
    "string_too_long": "has {max_length} characters at most",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number",
    "int_from_float": "must be a whole number",
    "greater_than_equal": "is {ge} at least",
    "greater_than": "is more than {gt}",
    "less_than_equal": "is {le} at most",
    "less_than": "is less than {lt}",
    "literal_error": "is one of {expected}",
    "json_invalid": "must be JSON",
    "model_type": "must be a JSON object",
    "model_attributes_type": "must be a JSON object",
    "dict_type": "must be a JSON object",
    # of ours, see api.fields
    "agent_id": "is made of A-Z a-z 0-9 _ . - only",
    "chunk_id": "must be the id of a chunk",
    "email": "must be an e-mail address",
    "label": "is one line without control characters",
    "thought": "is one visible line, not too long",
}
OTHERWISE: Final = "is not of the right shape"


def broken_rule(fault: Mapping[str, Any]) -> dict[str, str]:
    """Return ``field`` and ``rule`` of one error of the validator."""
    place, *within = fault["loc"] or ("body",)
    if fault["type"] == "json_invalid":  # placed by its offset
        within = []
    names = within if place in PLACES else [place, *within]
    field = ".".join(str(name)[:NAME_MAX_CHARS] for name in names) or str(place)
    return {"field": field, "rule": RULES.get(fault["type"], OTHERWISE).format_map(_Known(fault.get("ctx") or {}))}


class _Known(dict[str, Any]):
    """Words of the rule; one that is not there is left open."""

    def __missing__(self, name: str) -> str:
        return "..."
