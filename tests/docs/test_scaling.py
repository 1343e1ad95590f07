"""docs/scaling.md: its tables are those of the shipped coefficients, and the model agrees with measured worlds."""

from __future__ import annotations

import pytest

from operations.sizing.coefficients import load_coefficients
from tests.bench.cost.pages import PAGE, Checked, checked, read_points, with_tables

#: How far the estimate may be off, as a share of what was measured.  Roles that use little may be off by as
#: much as they use.
MOST = dict.fromkeys(("all cores", "MB/s to clients", "MB/s from Valkey"), 0.25)
MOST |= dict.fromkeys(("gateways", "shards", "valkey"), 0.35)


def test_the_tables_are_those_of_the_coefficients() -> None:
    assert PAGE.read_text() == with_tables(PAGE.read_text(), load_coefficients()), (
        'write them with `make costs ARGS="--only pages"`'
    )


def test_the_model_agrees_with_worlds_that_it_was_not_fitted_to() -> None:
    _, points = read_points()
    assert len(points) >= 3
    rows: list[Checked] = [row for point in points for row in checked(point, load_coefficients())]
    off = [row for row in rows if abs(row.deviation) > MOST.get(row.name, 1.0)]
    assert not off, "the model is too far off: measure with `make costs`, on a quiet machine"


def test_a_page_without_a_mark_is_refused() -> None:
    with pytest.raises(ValueError, match="limits"):
        with_tables(PAGE.read_text().replace("<!-- limits: end -->", ""), load_coefficients())
