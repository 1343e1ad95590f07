"""How a line of text may be read: each of its signs with the letters that it stands for, or looks like.

Folded away are case, width, accents, zero-width characters and ligatures (Unicode, standard library); read beside what
a sign itself is are look-alikes of Latin letters (``decancer``, which knows Unicode's confusables and some ten thousand
more) and simple leetspeak.  Nothing is replaced: a Cyrillic word stays readable as Cyrillic, whatever it looks like.
See docs/decisions/0041-moderation.md.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Final, Literal, NamedTuple

import decancer_py

__all__ = ["Sign", "fold"]

#: Simple leetspeak only; what needs two signs for a letter is left out.
LEET: Final = {"1": "il", "|": "il", **dict(zip("03456789@$!+€£", "oeasgtbgasitel", strict=True))}

#: What decomposes into more is a whole phrase in one character, and no way to spell a word.
DECOMPOSED_MAX: Final = 4

_ACCENT_RANGES: Final = (
    *((0x0300, 0x036F), (0x0483, 0x0489), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF), (0xFE20, 0xFE2F)),
)
#: Invisible by Unicode (default ignorable) though not of category Cf: joiners, fillers, variation selectors.
_INVISIBLE_RANGES: Final = (
    *((0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x3164, 0x3164), (0xFE00, 0xFE0F)),
    *((0xFFA0, 0xFFA0), (0xE0100, 0xE01EF)),
)
#: Scripts that put no spaces between words: Thai to Myanmar, Khmer, kana, Han.
_UNSPACED_RANGES: Final = (
    *((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF)),
    *((0xF900, 0xFAFF), (0x20000, 0x3FFFF)),
)
#: Letters in squares, and those of flags: symbols to Unicode, letters to a reader.
_LETTER_SYMBOLS: Final = ((0x1F100, 0x1F1FF),)


class Sign(NamedTuple):
    """One sign of a folded text.

    ``itself``: what it is, folded.  ``others``: letters that it may stand for.

    ``kind``: ``word``: a letter or digit, which belongs to one word with others beside it; ``unspaced``: a letter of
    a script without spaces, a word by itself or with any others; ``symbol``: no letter, but read as one; ``gap``: can
    only stand between words.
    """

    itself: str
    others: tuple[str, ...]
    kind: Literal["word", "unspaced", "symbol", "gap"]

    @property
    def is_gap(self) -> bool:
        """Whether it can only stand between words."""
        return self.kind == "gap"


def fold(text: str) -> list[Sign]:
    """Return the signs of ``text``, in order; without those that nobody sees."""
    decomposed = "".join(char if char.isascii() else _decomposed(char) for char in text)
    kept = "".join(char for char in decomposed if char.isascii() or not _is_folded_away(char))
    return [_sign(char) for char in unicodedata.normalize("NFC", kept)]


@lru_cache(maxsize=8_192)
def _sign(char: str) -> Sign:
    itself = char.casefold()
    look = "" if char.isascii() or _within(char, _UNSPACED_RANGES) else str(decancer_py.parse(char)).lower()
    others = tuple(
        letters
        for letters in dict.fromkeys((look, *LEET.get(itself, "")))
        if letters != itself and letters.isascii() and letters.isalpha()
    )
    if unicodedata.category(char)[0] in "LMN" or _within(char, _LETTER_SYMBOLS):
        return Sign(itself, others, "unspaced" if _within(char, _UNSPACED_RANGES) else "word")
    return Sign(itself, others, "symbol" if others else "gap")


@lru_cache(maxsize=8_192)
def _decomposed(char: str) -> str:
    parts = unicodedata.normalize("NFKD", char)
    return parts if len(parts) <= DECOMPOSED_MAX else char


def _is_folded_away(char: str) -> bool:
    return unicodedata.category(char) == "Cf" or _within(char, _ACCENT_RANGES) or _within(char, _INVISIBLE_RANGES)


def _within(char: str, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(first <= ord(char) <= last for first, last in ranges)
