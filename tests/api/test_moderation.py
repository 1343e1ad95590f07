"""What counts as a banned word and what does not: a table, both ways; and that no spelling is too odd to be read."""

from __future__ import annotations

import random
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.limits.banned_words import WordFilter, parse_list
from api.limits.word_file import DEFAULT_LIST

LIST = """
ass
anal
arse
badword
cock
cum
cunt*
dick
fuck*
hell
kill yourself
penis
rape
rapist
semen
sex
shit
tit
turd
*twit
1488
сука
дурак*
垃圾
바보
"""

BANNED = [
    # as it is, and case
    "badword",
    "BADWORD",
    "BaDwOrD",
    "you badword, you",
    "(badword)",
    "badword!!!",
    "\u201ebadword\u201c",
    "so_badword_so",
    "badword's",
    "https://badword.example",
    # width, styles, ligatures
    "\uff42\uff41\uff44\uff57\uff4f\uff52\uff44",
    "\U0001d41b\U0001d41a\U0001d41d\U0001d430\U0001d428\U0001d42b\U0001d41d",
    "\U0001d51f\U0001d51e\U0001d521\U0001d534\U0001d52c\U0001d52f\U0001d521",
    "\u24d1\u24d0\u24d3\u24e6\u24de\u24e1\u24d3",
    "\U0001f171\U0001f170\U0001f173\U0001f186\U0001f17e\U0001f181\U0001f173",
    "\U0001f1e7\U0001f1e6\U0001f1e9\U0001f1fc\U0001f1f4\U0001f1f7\U0001f1e9",
    "\u0299\u1d00\u1d05\u1d21\u1d0f\u0280\u1d05",
    "\u1d47\u1d43\u1d48\u02b7\u1d52\u02b3\u1d48",
    # accents, one or a heap
    "b\u00e1dw\u00f6rd",
    "ba\u0301dwo\u0308rd",
    "".join(letter + "\u0337\u0316\u0361" for letter in "badword"),
    "b\u0105dw\u00f8r\u0111",
    # what nobody sees
    "bad\u200bword",
    "b\u200da\u200cd\u2060w\ufefford",
    "bad\u00adword",
    "b\ufe0fa\ufe0fdword",
    "bad\u034fword",
    "bad\U000e0061word",
    "\u202ebadword\u202c",
    # look-alikes
    "b\u0430dw\u043erd",
    "\u0412\u0410DWORD",
    "b\u03b1dw\u03bfrd",
    "bɑdw\u0585rd",
    "\u1e05\u1ea1\u1e0d\u1e89\u1ecd\u1e5b\u1e0d",
    "sh\u0456t",
    "\u0455h\u0456t",
    "\u0430\u0455\u0455",
    # leetspeak
    "b4dw0rd",
    "b@dword",
    "sh1t",
    "5h1t",
    "$h!t",
    "sh|t",
    "a$$",
    "@ss",
    "4ss",
    "h3ll",
    "t1t",
    "fuck3r",
    "shi+",
    # drawn out, spaced out
    "baaaaadword",
    "shiiiiit",
    "assssss",
    "fuuuuuck",
    "b a d w o r d",
    "you are a s h i t",
    "b.a.d.w.o.r.d",
    "b-a-d-w-o-r-d",
    "b * a * d * w * o * r * d",
    "\u24d1 \u24d0 d w 0 r d",
    "f u c k !",
    # entries of several words, with open sides, in other scripts
    "kill yourself",
    "go kill  yourself now",
    "Kill, yourself!",
    "k1ll y0urs3lf",
    "fucking",
    "motherless fucker",
    "cunts",
    "nitwit",
    "1488",
    "сука",
    "СУКА",
    "c\u0443\u043aa",
    "дураки",
    "\u626b\u5783\u573e\u4e86",
    "\ubc14\ubcf4",
    # beside what is innocent
    "a class of ass",
    "hello hell",
]

INNOCENT = [
    # with a banned part
    "class",
    "classic bass, pass the glass",
    "assassin",
    "assess",
    "embassy",
    "Scunthorpe",
    "Penistone",
    "Essex and Sussex",
    "cocktail",
    "peacock",
    "Hancock",
    "title",
    "titan",
    "shell",
    "hello",
    "Michelle",
    "hell0",
    "Dickens",
    "grape",
    "drape",
    "therapist",
    "analysis",
    "canal",
    "arsenal",
    "document",
    "cucumber",
    "circumstances",
    "basement",
    "Saturday",
    "shitake",
    "twitter",
    "outwitted",
    "sextant",
    # the same with odd letters
    "cl@ss",
    "p@$$word",
    "pa$$",
    "a$$et",
    "gl\u00e4ss",
    "CL\u00c0SS",
    "\uff43\uff4c\uff41\uff53\uff53",
    "\U0001f172\U0001f17b\U0001f170\U0001f182\U0001f182",
    "c l a s s",
    "a l a s s",
    "a s i n a s s e t",
    "s.h.e.l.l",
    "cl\u200bass",
    "\u0441l\u0430ss",
    # numbers are no words
    "455",
    "at 4:55",
    "55 and 455",
    "the A55",
    "x=4, y=55",
    "7 17 71",
    "14880",
    # neither are words over a gap, in part, or nearly
    "as s",
    "h ell",
    "kill your self",
    "kill the goblin yourself",
    "yourself kill",
    "bad word",
    "hel",
    "he'll",
    "w a s d",
    "n e s w",
    "I, a spy",
    "fuc",
    "cyka",
    # other scripts that look, or sound, like nothing banned
    "наука",
    "сукачев",
    "дура",
    "шит",
    "Θεός",
    "日本語",
    "\u5783 \u573e",
    "\ubc14\ubcf4\uc0c1",
    "नमस्ते",
    "สวัสดี",
    "مرحبا",
    "🎉🎉🎉",
    "",
    "...",
    "\u200b",
]


@pytest.fixture(scope="module")
def words() -> WordFilter:
    words, faults = parse_list(LIST)
    assert faults == []
    return words


def test_the_table_is_long_enough_both_ways() -> None:
    assert min(len(BANNED), len(INNOCENT)) >= 60
    assert len(set(BANNED)) == len(BANNED)
    assert len(set(INNOCENT)) == len(INNOCENT)


@pytest.mark.parametrize("text", BANNED, ids=ascii)
def test_is_banned(words: WordFilter, text: str) -> None:
    assert words.find(text) is not None


@pytest.mark.parametrize("text", INNOCENT, ids=ascii)
def test_is_innocent(words: WordFilter, text: str) -> None:
    assert words.find(text) is None


@given(st.text(max_size=60), st.text(max_size=60))
def test_a_banned_word_that_stands_alone_is_found_in_any_company(before: str, after: str) -> None:
    words, _ = parse_list(LIST)
    assert words.find(f"{before} badword {after}") is not None


@given(st.text(st.characters(codec="utf-8"), max_size=200))
def test_no_text_is_too_odd(text: str) -> None:
    words, _ = parse_list(LIST)
    assert words.find(text) in (None, *range(len(LIST.splitlines()) + 1))


def test_every_character_can_be_read() -> None:
    """Each once, in lines of 200; and none of them alone is a word."""
    words, _ = parse_list(LIST)
    characters = [chr(number) for number in range(sys.maxunicode + 1) if not 0xD800 <= number < 0xE000]
    known = [char for char in characters if unicodedata.category(char) not in ("Cn", "Co")]
    for start in range(0, len(known), 100):
        assert words.find("\n".join(known[start : start + 100])) is None


def test_the_line_of_the_entry_is_told(words: WordFilter) -> None:
    lines = LIST.splitlines()
    for text, entry in (("ASS", "ass"), ("fucker", "fuck*"), ("kill yourself", "kill yourself"), ("nitwit", "*twit")):
        assert words.find(text) == lines.index(entry) + 1


def test_a_hostile_line_is_read_in_bounded_steps() -> None:
    """Ten thousand entries, and lines that may be read in as many ways as any: the search is no product of them."""
    dice = random.Random(1)
    entries = ["".join(dice.choices("ailsotbeg", k=dice.randint(4, 10))) for _ in range(10_000)]
    words, _ = parse_list("\n".join(entry + "z" for entry in entries))
    for line in ("1|!0$5+7" * 25, "\ufdfa" * 200, "a" * 200, "i l " * 50):
        assert words.find(line[:200]) is None


def test_our_own_list_is_sound_and_catches_what_it_says() -> None:
    text = DEFAULT_LIST.read_text()
    words, faults = parse_list(text)
    assert faults == []
    assert len(words) == sum(1 for line in text.splitlines() if line and not line.startswith("#"))
    for banned in ("shit", "SH1T", "f\u00fcck", "motherfucking", "kill yourself"):
        assert words.find(banned) is not None
    for innocent in ("hello there", "class", "Scunthorpe", "shiitake", "button", "north is up", "bitchip"):
        assert words.find(innocent) is None
