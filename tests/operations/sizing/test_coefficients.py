"""The file of coefficients: the shipped one, and files that are none."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import orjson
import pytest

from operations.sizing.coefficients import FILE, ROLES, Coefficients, load_coefficients
from tests.operations.sizing.makers import coefficients


def test_the_shipped_file_is_whole() -> None:
    known = load_coefficients()
    assert set(known.roles) == set(ROLES)
    assert known.measured
    assert all(cost.idle_cores >= 0 and cost.command_us >= 0 and cost.message_us >= 0 for cost in known.roles.values())
    assert all(getattr(known, name) > 0 for name in ("message_bytes", "commands_per_agent_s", "archiver_facts_per_s"))


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "coefficients.json"
    file.write_bytes(orjson.dumps(coefficients().to_json()))
    assert load_coefficients(file) == coefficients()


@pytest.mark.parametrize("field", [field.name for field in fields(Coefficients)])
def test_a_file_without_one_of_the_fields_is_refused_with_its_name(field: str) -> None:
    found = orjson.loads(FILE.read_bytes())
    del found[field]
    with pytest.raises(ValueError, match=field if field != "roles" else "gateways"):
        Coefficients.from_json(found)


@pytest.mark.parametrize("change", [{"extra": 1}, {"shards": "two"}, {"crossing_us": -1}, {"roles": {}}])
def test_odd_values_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="make costs|must be numbers"):
        Coefficients.from_json(orjson.loads(FILE.read_bytes()) | change)
