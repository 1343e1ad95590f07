"""The list of banned words: its form, and what is left out of it."""

from __future__ import annotations

import pytest

from api.limits.banned_words import ENTRIES_MAX, ENTRY_MAX_CHARS, WordFilter, WordListFault, parse_list


def words_of(*entries: str) -> WordFilter:
    words, faults = parse_list("\n".join(entries))
    assert faults == []
    return words


def test_comments_blank_lines_and_a_byte_order_mark_are_no_entries() -> None:
    words, faults = parse_list("\ufeffbad # a word\r\n\n   \n# worse\n  worst  \n")
    assert (len(words), faults) == (2, [])
    assert (words.find("bad"), words.find("worst"), words.find("worse")) == (1, 5, None)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("x", "too_short"),
        ("*", "too_short"),
        ("**", "too_short"),
        ("ab*", "too_short"),
        ("*ab", "too_short"),
        ("...", "too_short"),
        ("\u200b\u200b", "too_short"),
        ("b*d", "star_inside"),
        ("a" * (ENTRY_MAX_CHARS + 1), "too_long"),
        ("bad\ufffdword", "bad_utf8"),
    ],
)
def test_a_bad_line_is_skipped_and_named_by_its_number_alone(line: str, reason: str) -> None:
    words, faults = parse_list(f"good\n{line}\nfine\n")
    assert faults == [WordListFault(2, reason)]
    assert (words.find("good"), words.find("fine"), len(words)) == (1, 3, 2)


def test_there_are_only_so_many_entries() -> None:
    words, faults = parse_list("\n".join(f"word{number:06}" for number in range(ENTRIES_MAX + 2)))
    assert len(words) == ENTRIES_MAX
    assert faults == [WordListFault(ENTRIES_MAX + 1, "too_many"), WordListFault(ENTRIES_MAX + 2, "too_many")]


def test_an_empty_list_finds_nothing() -> None:
    assert parse_list("")[0].find("anything") is None


def test_a_star_opens_one_side() -> None:
    begin, end, both = words_of("bad*"), words_of("*bad"), words_of("*bad*")
    found = {
        text: (begin.find(text) is not None, end.find(text) is not None, both.find(text) is not None)
        for text in ("bad", "badly", "forbad", "forbade", "b4dly", "bd")
    }
    assert found == {
        "bad": (True, True, True),
        "badly": (True, False, True),
        "forbad": (False, True, True),
        "forbade": (False, False, True),
        "b4dly": (True, False, True),
        "bd": (False, False, False),
    }


def test_an_entry_is_folded_as_what_is_said_is() -> None:
    for entry in ("BÀD", "ｂａｄ", "b\u200bad", "  bad  ", "“bad”"):
        assert words_of(entry).find("bad") == 1


def test_several_words_match_over_any_gap_and_only_in_their_order() -> None:
    words = words_of("go away")
    assert words.find("GO -- away") == 1
    assert words.find("go, away!") == 1
    assert [words.find(text) for text in ("goaway", "away go", "go far away", "ego away", "go awaya")] == [None] * 5


def test_a_foreign_word_is_seen_through_latin_letters_but_not_read_into_a_latin_word() -> None:
    words = words_of("\u0441\u043e\u0440")  # three Cyrillic letters that look like "cop"
    assert words.find("c\u043ep") == 1
    assert words.find("cop") is None


def test_scripts_without_spaces_have_no_word_boundaries_and_others_beside_them_do() -> None:
    words = words_of("垃圾", "bad")
    assert words.find("扔垃圾了") == 1
    assert words.find("a垃圾b") == 1
    assert words.find("很bad啊") == 2
    assert words.find("很badly啊") is None
