from __future__ import annotations

import pytest

from api.limits.folding import DECOMPOSED_MAX, Sign, fold


def read(text: str) -> str:
    return "".join(sign.itself for sign in fold(text))


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Straße", "strasse"),
        ("ÀÉÎ", "aei"),
        ("İ", "i"),
        ("ﬁ", "fi"),
        ("Ｂ２", "b2"),
        ("⑦", "7"),
        ("a\u0301\u0302b", "ab"),
        ("a\u200b\u200d\ufeff\u00adb\ufe0f\u034f", "ab"),
        ("한글", "한글"),
        ("नि", "नि"),  # a vowel sign is no accent
        ("\ufdfa", "\ufdfa"),  # a whole phrase stays one sign
        ("", ""),
    ],
)
def test_what_a_sign_is(text: str, folded: str) -> None:
    assert read(text) == folded


def test_what_a_sign_may_stand_for_is_kept_beside_what_it_is() -> None:
    assert fold("1") == [Sign("1", ("i", "l"), "word")]
    assert fold("$") == [Sign("$", ("s",), "symbol")]
    assert fold("В") == [Sign("в", ("b",), "word")]
    assert fold("ß") == [Sign("ss", ("b",), "word")]
    assert fold("\U0001f170") == [Sign("\U0001f170", ("a",), "word")]
    assert [sign.kind for sign in fold("a 字-@")] == ["word", "gap", "unspaced", "gap", "symbol"]


def test_a_line_grows_by_no_more_than_its_characters_may() -> None:
    for code in (0xFDFA, 0x33A5, 0x1D160, 0x2A74, 0x3250):
        assert len(fold(chr(code) * 200)) <= 200 * DECOMPOSED_MAX
