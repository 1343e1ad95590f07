"""Signs of agents on a map of characters: one each, of their names where they can be, the same while in sight."""

from __future__ import annotations

import pytest

from chunkcrawl.view.signs import MANY, Signs


def test_a_sign_stays_while_its_agent_is_in_sight_and_is_never_twos() -> None:
    signs = Signs()
    names = {f"walker-{number}": f"walker-{number}" for number in range(58)}
    full = signs.of(names)
    assert len(set(full.values())) == 58
    assert not {"a", "n", "@", "#", ".", "+", "$", "-"} & set(full.values())
    names |= {"aaa": "aaa", "mmm": "mmm", "zzz": "zzz"}
    more = signs.of(names)
    assert {one: more[one] for one in full} == full
    assert [more[one] for one in ("aaa", "mmm", "zzz")].count(MANY) == 1
    del names["walker-0"]
    assert {one: sign for one, sign in signs.of(names).items() if one in full} == {
        one: sign for one, sign in full.items() if one != "walker-0"
    }


@pytest.mark.parametrize(
    ("name", "sign"),
    [("user-bob", "B"), ("walker-007", "7"), ("agent", "A"), ("x-0", "0"), ("\u6f22\u5b57", "A"), ("", "A")],
)
def test_a_sign_is_of_the_names_last_word(name: str, sign: str) -> None:
    assert Signs().of({"one": name}) == {"one": sign}


def test_of_two_who_wish_the_same_the_later_gets_its_next_wish() -> None:
    assert Signs().of({"1": "user-bob", "2": "user-ben"}) == {"1": "B", "2": "E"}


def test_a_sign_that_was_given_back_is_free() -> None:
    signs = Signs()
    assert signs.of({"1": "bob"}) == {"1": "B"}
    assert signs.of({}) == {}
    assert signs.of({"2": "ben"}) == {"2": "B"}
