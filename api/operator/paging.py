"""Pages of rows that are sorted in memory: a cursor is the number of rows before it, in a form that says so."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from api.errors import ApiError

PAGE: Final = 100
PAGE_MAX: Final = 500
#: Nobody pages further; who looks for something filters.
OFFSET_MAX: Final = 1_000_000

T = TypeVar("T")


def offset_of(cursor: str | None) -> int:
    """Return how many rows a cursor leaves out.  Raises ``ApiError``: ``bad_request``: it is none of ours."""
    if cursor is None:
        return 0
    digits = cursor.removeprefix("o")
    if digits == cursor or not digits.isascii() or not digits.isdigit() or len(digits) > 7:
        raise ApiError("bad_request", words="cursor must be what `next` of the page before was")
    return min(int(digits), OFFSET_MAX)


def cursor_after(offset: int, shown: int, total: int) -> str | None:
    """Return the cursor of the next page, None after the last one."""
    return f"o{offset + shown}" if shown and offset + shown < total else None


def page(rows: Sequence[T], key: Callable[[T], Any], *, descending: bool, offset: int, limit: int) -> list[T]:
    """Return one page of ``rows`` in the order of ``key``; cheaper than sorting all where the page is near the top."""
    wanted = offset + limit
    if wanted * 8 < len(rows):
        choose = heapq.nlargest if descending else heapq.nsmallest
        return choose(wanted, rows, key=key)[offset:]
    return sorted(rows, key=key, reverse=descending)[offset:wanted]


def natural(name: str) -> tuple[int, str]:
    """Return a key that sorts chunk-2 before chunk-10."""
    return len(name), name
