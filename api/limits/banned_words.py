"""Whether a line holds a banned word: the list, as an operator writes it, and the search.

Pure.  A word is found where it stands as a word: "class" holds no "ass".  Which spellings of it count is
``api.limits.folding``'s business; here are word boundaries, words of several words, drawn-out and spaced-out spelling.

The list is one entry a line: ``word``, ``several words``, ``begin*`` (with any ending), ``*end``, ``*any*``; ``#``
begins a comment.  See docs/decisions/0041-moderation.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from api.limits.folding import Sign, fold

__all__ = ["WordFilter", "WordListFault", "parse_list"]

ENTRIES_MAX: Final = 20_000
ENTRY_MAX_CHARS: Final = 64
ENTRY_MIN_SIGNS: Final = 2
#: The shortest entry with an open side: a shorter one would hit half the dictionary.
OPEN_ENTRY_MIN_SIGNS: Final = 3

#: No word has a sign three times in a row, so such a run also counts as one.
RUN_MIN: Final = 3
#: This many signs that stand alone are read as a word; at most this far apart.
SPACED_MIN: Final = 3
SPACED_GAP_MAX: Final = 3
#: Words of one letter that may stand before a spaced-out one: "you are a b a d ...".
ONE_LETTER_WORDS: Final = frozenset("aiu")
#: How many signs of a hit must be more than digits in the place of letters: 455 and the road A55 are no words.
GENUINE_MIN: Final = 2

SPACE: Final = " "


class WordListFault(NamedTuple):
    """A line of the list that can't be used: its number, and a code that says why; never its text."""

    line: int
    reason: str


@dataclass(slots=True)
class _Branch:
    """A place in the tree of entries.  ``ends``: entries that end here, as (any ending, only look-alikes, line)."""

    children: dict[str, _Branch] = field(default_factory=dict)
    ends: list[tuple[bool, bool, int]] = field(default_factory=list)


class WordFilter:
    """The entries of a list.  Fill it with ``add``; ``find`` is the search."""

    def __init__(self) -> None:
        #: Entries that begin where a word begins, and entries that begin anywhere.
        self._at_word_start = _Branch()
        self._anywhere = _Branch()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, entry: str, line: int) -> str | None:
        """Add an entry of the list; return why it can't be used, or None."""
        open_start, open_end = entry.startswith("*"), entry.endswith("*") and len(entry) > 1
        signs = _trimmed(fold(entry.removeprefix("*").removesuffix("*")))
        if len(entry) > ENTRY_MAX_CHARS:
            return "too_long"
        if any(sign.itself == "*" for sign in signs):
            return "star_inside"
        word_signs = sum(1 for sign in signs if not sign.is_gap)
        if word_signs < (OPEN_ENTRY_MIN_SIGNS if open_start or open_end else ENTRY_MIN_SIGNS):
            return "too_short"
        root = self._anywhere if open_start else self._at_word_start
        _insert(root, [sign.itself for sign in signs], signs, (open_end, False, line))
        looks = [sign.others[0] if not sign.itself.isascii() and sign.others else sign.itself for sign in signs]
        if any(look != sign.itself for look, sign in zip(looks, signs, strict=True)):
            # A foreign word with some of its letters written in Latin ones.
            _insert(root, looks, signs, (open_end, True, line))
        self._count += 1
        return None

    def find(self, text: str) -> int | None:
        """Return the line of an entry that ``text`` holds, or None.

        Cost is O(signs of the text x length of an entry); about 0.1 ms for 200 characters.
        """
        if not self._count:
            return None
        signs = fold(text)
        for part in (signs, *_spaced_out(signs)):
            found = _Search(self._at_word_start, self._anywhere, part).run()
            if found is not None:
                return found
        return None


def parse_list(text: str) -> tuple[WordFilter, list[WordListFault]]:
    """Read a list; return it, and the lines of it that can't be used and were left out."""
    words, faults = WordFilter(), []
    for line, raw in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        entry = raw.partition("#")[0].strip()
        if not entry:
            continue
        if "\ufffd" in entry:
            reason: str | None = "bad_utf8"
        elif len(words) >= ENTRIES_MAX:
            reason = "too_many"
        else:
            reason = words.add(entry, line)
        if reason is not None:
            faults.append(WordListFault(line, reason))
    return words, faults


# The list


def _trimmed(signs: Sequence[Sign]) -> list[Sign]:
    start, end = 0, len(signs)
    while start < end and signs[start].is_gap:
        start += 1
    while end > start and signs[end - 1].is_gap:
        end -= 1
    return list(signs[start:end])


def _insert(root: _Branch, spelling: Sequence[str], signs: Sequence[Sign], end: tuple[bool, bool, int]) -> None:
    node, was_gap = root, False
    for letters, sign in zip(spelling, signs, strict=True):
        if not (sign.is_gap and was_gap):
            for key in SPACE if sign.is_gap else letters:
                node = node.children.setdefault(key, _Branch())
        was_gap = sign.is_gap
    node.ends.append(end)


# The search


def _spaced_out(signs: Sequence[Sign]) -> list[list[Sign]]:
    """Return runs of signs that stand alone, each as if written together."""
    runs: list[list[Sign]] = []
    run: list[Sign] = []
    run_end = 0
    for at, sign in enumerate(signs):
        alone = not sign.is_gap and _is_gap(signs, at - 1) and _is_gap(signs, at + 1)
        if sign.is_gap:
            continue
        if not alone or (run and at - run_end > SPACED_GAP_MAX):
            runs.append(run)
            run = []
        if alone:
            run.append(sign)
            run_end = at + 1
    runs.append(run)
    runs += [found[1:] for found in runs if found and found[0].itself in ONE_LETTER_WORDS]
    return [found for found in runs if len(found) >= SPACED_MIN]


def _is_gap(signs: Sequence[Sign], at: int) -> bool:
    return not 0 <= at < len(signs) or signs[at].is_gap


class _Search:
    """One search of one line, from every place in it down the tree."""

    def __init__(self, at_word_start: _Branch, anywhere: _Branch, signs: Sequence[Sign]) -> None:
        self._at_word_start = at_word_start
        self._anywhere = anywhere
        self._signs = signs
        self._steps = [_steps(sign) for sign in signs]
        self._run_ends = _run_ends(signs)

    def run(self) -> int | None:
        for start, sign in enumerate(self._signs):
            if sign.kind == "gap":
                continue
            found = self._descend(self._anywhere, start) if self._anywhere.children else None
            if found is None and self._may_begin(start):
                found = self._descend(self._at_word_start, start)
            if found is not None:
                return found
        return None

    def _descend(self, root: _Branch, start: int) -> int | None:
        # Place in the tree and in the text; how many signs are no digit for a letter; whether any is foreign.
        stack: list[_State] = [(root, start, 0, False)]
        seen: set[tuple[int, int, int, bool]] = set()
        while stack:
            node, at, genuine, foreign = stack.pop()
            if node.ends and genuine >= GENUINE_MIN:
                for any_ending, only_foreign, line in node.ends:
                    if (any_ending or self._may_end(at)) and (foreign or not only_foreign):
                        return line
            if at == len(self._signs) or not node.children:
                continue
            if self._signs[at].kind == "gap":
                if SPACE in node.children:
                    stack.append((node.children[SPACE], self._after_gap(at), genuine, foreign))
                continue
            for letters, is_genuine, is_foreign in self._steps[at]:
                reached = _walk(node, letters)
                if reached is None:
                    continue
                after = (min(GENUINE_MIN, genuine + is_genuine), foreign or is_foreign)
                for next_at in (at + 1, self._run_ends[at]):
                    if (key := (id(reached), next_at, *after)) not in seen:
                        seen.add(key)
                        stack.append((reached, next_at, *after))
        return None

    def _may_begin(self, at: int) -> bool:
        return at == 0 or self._signs[at - 1].kind != "word" or self._signs[at].kind == "unspaced"

    def _may_end(self, at: int) -> bool:
        """Return whether a word may end before ``at``."""
        signs = self._signs
        return at == len(signs) or signs[at].kind != "word" or signs[at - 1].kind == "unspaced"

    def _after_gap(self, at: int) -> int:
        while at < len(self._signs) and self._signs[at].kind == "gap":
            at += 1
        return at


_State = tuple[_Branch, int, int, bool]


def _steps(sign: Sign) -> list[tuple[str, bool, bool]]:
    """Return the ways to read a sign: letters, whether more than a digit for a letter, whether foreign."""
    foreign = not sign.itself.isascii()
    digit = sign.itself.isdecimal()
    return [(sign.itself, True, foreign), *((letters, not digit, foreign) for letters in sign.others)]


def _walk(node: _Branch, letters: str) -> _Branch | None:
    found = node.children.get(letters[0])
    for letter in letters[1:]:
        if found is None:
            return None
        found = found.children.get(letter)
    return found


def _run_ends(signs: Sequence[Sign]) -> list[int]:
    """Return where the search may go on after each place: past the rest of a run of the same sign."""
    ends = list(range(1, len(signs) + 1))
    start = 0
    for at in range(1, len(signs) + 1):
        if at < len(signs) and signs[at].itself == signs[start].itself:
            continue
        if at - start >= RUN_MIN:
            ends[start:at] = [at] * (at - start)
        start = at
    return ends
