"""docs/scaling.md: its tables are those of the shipped coefficients, and the model agrees with measured worlds."""

from __future__ import annotations

import pytest

from operations.sizing.coefficients import load_coefficients
from tests.bench.cost.pages import PAGE, Checked, checked, read_points, with_tables

MOST = 0.25
HELD = ("all cores", "gateways", "shards", "valkey", "MB/s to clients", "MB/s from Valkey")


def test_the_tables_are_those_of_the_coefficients() -> None:
    assert PAGE.read_text() == with_tables(PAGE.read_text(), load_coefficients()), (
        'write them with `make costs ARGS="--only pages"`'
    )


def test_the_model_agrees_with_worlds_that_it_was_not_fitted_to() -> None:
    _, points = read_points()
    assert len(points) >= 3
    rows: list[Checked] = [row for point in points for row in checked(point, load_coefficients())]
    off = [row for row in rows if row.name in HELD and abs(row.deviation) > MOST]
    assert not off, "the model is off by more than a quarter: measure with `make costs`, on a quiet machine"


def test_a_page_without_a_mark_is_refused() -> None:
    with pytest.raises(ValueError, match="limits"):
        with_tables(PAGE.read_text().replace("<!-- limits: end -->", ""), load_coefficients())
