from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.email_address import BadEmail, normal_form


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bob@x.org", "bob@x.org"),
        ("Bob@x.org", "bob@x.org"),
        ("bob@X.org", "bob@x.org"),
        (" bob@x.org\t\n", "bob@x.org"),
        ("\uff42ob@x.org", "bob@x.org"),
        ("bob\uff20x.org", "bob@x.org"),
        ("bob@x\uff0eorg", "bob@x.org"),
        ("b.o-b+tag@x.org", "b.o-b+tag@x.org"),
        ("a@B\u00dcCHER.de", "a@xn--bcher-kva.de"),
        ("a@bu\u0308cher.de", "a@xn--bcher-kva.de"),
        ("a@xn--bcher-kva.de", "a@xn--bcher-kva.de"),
        ("load1-ab@example.com", "load1-ab@example.com"),
    ],
)
def test_writings_of_one_address_have_one_form(text: str, expected: str) -> None:
    assert normal_form(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("bob\u200b@x.org", id="zero width space"),
        pytest.param("bo\u200db@x.org", id="joiner"),
        pytest.param("bob\u00ad@x.org", id="soft hyphen"),
        pytest.param("b\u043eb@x.org", id="Cyrillic o"),
        pytest.param("jos\u00e9@x.org", id="composed accent"),
        pytest.param("jose\u0301@x.org", id="decomposed accent"),
        pytest.param("stra\u00dfe@x.org", id="sharp s, which case folding would turn into ss"),
        pytest.param("a\0@x.org", id="NUL"),
        pytest.param("a@x\u200b.org", id="zero width space in the domain"),
        pytest.param("a\r\nb@x.org", id="line break"),
        pytest.param("a b@x.org", id="space"),
        pytest.param('"a b"@x.org', id="quoted"),
        pytest.param("bob", id="no at"),
        pytest.param("@x.org", id="no local part"),
        pytest.param("a@", id="no domain"),
        pytest.param("a@b@x.org", id="two ats"),
        pytest.param("a@localhost", id="no public domain"),
        pytest.param("a@[127.0.0.1]", id="address literal"),
        pytest.param("a@chunkcrawl.invalid", id="reserved: the dev account's"),
        pytest.param("\ud800@x.org", id="lone surrogate"),
        pytest.param("a" * 250 + "@x.org", id="too long"),
        pytest.param("a@" + "b" * 2_000, id="far too long"),
        pytest.param("", id="empty"),
    ],
)
def test_what_could_pass_for_another_address_is_refused(text: str) -> None:
    with pytest.raises(BadEmail):
        normal_form(text)


@given(st.one_of(st.text(max_size=40), st.from_regex(r"\A.{1,12}@[\w.-]{1,20}\.[a-z]{2,6}\Z")))
def test_the_form_is_stable_and_ascii_or_refused(text: str) -> None:
    try:
        form = normal_form(text)
    except BadEmail:
        return
    assert normal_form(form) == form
    assert form.isascii()
    assert form == form.lower().strip()
