from __future__ import annotations

import pytest

from api.operator.paging import cursor_after, natural, offset_of, page

ROWS = [(number * 7) % 100 for number in range(100)]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("limit", [1, 7, 60])
def test_pages_together_are_all_rows_in_order(descending: bool, limit: int) -> None:
    found: list[int] = []
    cursor = None
    while True:
        offset = offset_of(cursor)
        rows = page(ROWS, lambda row: row, descending=descending, offset=offset, limit=limit)
        found += rows
        cursor = cursor_after(offset, len(rows), len(ROWS))
        if cursor is None:
            break
    assert found == sorted(range(100), reverse=descending)


def test_names_sort_by_their_numbers() -> None:
    assert sorted(["chunk-10", "chunk-9", "chunk-2"], key=natural) == ["chunk-2", "chunk-9", "chunk-10"]
