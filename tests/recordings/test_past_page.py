from __future__ import annotations

import pytest

from recordings.past_page import Gap, PastDelta, PastPage


@pytest.mark.parametrize(
    "page",
    [
        PastPage("chunk-0", 5, 4, ended=True),
        PastPage("chunk-0", 5, 9, Gap(5, 7, "missing"), b'{"a":1}', b'{"b":"\\n"}', [PastDelta(8, b"{}", 1)], 9),
        PastPage("chunk-0", 5, 9, state=b"{}", deltas=[PastDelta(6, b"{1}", 1), PastDelta(7, b"", 2)]),
    ],
    ids=["empty", "whole", "without static"],
)
def test_a_page_comes_over_as_it_was(page: PastPage) -> None:
    assert PastPage.unpack(page.pack()) == page


def test_a_gap_ends_with_its_page() -> None:
    page = PastPage("chunk-0", 5, 9, Gap(5, 20, "before_first"))
    page.clip_gap()
    assert page.gap == Gap(5, 9, "before_first")


@pytest.mark.parametrize("data", [b"", b"[]\n", b"nothing"])
def test_what_is_no_page(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - that it is one is all that is asked
        PastPage.unpack(data)
