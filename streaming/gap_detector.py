"""The gap detector: the order of one stream as its live messages arrive, without any I/O.

Every entry names its predecessor.  ``GapDetector`` passes on an entry whose predecessor is the last one it passed on;
anything else means that messages were lost (or a history was rewritten), and it holds back what follows until
``filled`` brings what the stream has.  Readers behind it see each entry once, in order, or are told ``Resync``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from streaming.entry import Entry, StreamId

#: Live messages kept while a gap is being filled.  What falls out is found again as a gap.
MAX_HELD: Final = 2_048


@dataclass(frozen=True, slots=True)
class Resync:
    """Entries of ``key`` are gone for good: read the present state anew."""

    key: str


Item = Entry | Resync


class GapDetector:
    """One stream's live entries, in order.

    It starts unready: ``ready`` is False until ``started`` or ``filled`` says what the stream held once the
    subscription was in force.  ``receive`` takes live entries at any time.
    """

    __slots__ = ("_held", "key", "last", "last_entry", "ready")

    def __init__(self, key: str) -> None:
        self.key = key
        #: Id of the last entry passed on; None while the stream is known to be empty.
        self.last: StreamId | None = None
        self.last_entry: Entry | None = None
        self.ready = False
        self._held: deque[Entry] | None = None

    def receive(self, entry: Entry) -> bool:
        """Take a live entry.  Return True: it is the next one, pass it on; False: held back, or known already.

        Afterwards, ``ready`` tells whether the stream must be read (``filled``).
        """
        if self.ready:
            last = self.last
            if last is None or entry.prev == last:
                self.last = entry.id
                self.last_entry = entry
                return True
            # Lost messages, or an id that does not rise: either the echo of a gap just filled, or a history
            # rewritten by a server that came back with less.  The stream knows which.
            self.ready = False
        self._hold(entry)
        return False

    def started(self, head: StreamId | None) -> list[Item]:
        """Take the first answer: the stream's last id, read once the subscription was in force (None: empty)."""
        self.last = head
        self.last_entry = None
        return self._resume([])

    def suspend(self) -> None:
        """Note that the connection is lost: nothing more is certain until ``filled``."""
        self.ready = False
        self._held = None

    def drop_held(self) -> int:
        """Forget what is held back; return how much it was.  ``filled`` is due."""
        held, self._held = self._held, None
        return len(held or ())

    def filled(self, entries: Iterable[Entry], head: StreamId | None) -> list[Item]:
        """Take what the stream holds from ``last`` on, that one included if it is still there, and its last id.

        ``entries`` may be the first page of a longer gap; then ``ready`` stays False and the next page is due.
        Returns what to pass on, in order.
        """
        out: list[Item] = []
        last = self.last
        # What a stream has in one with the last entry may begin before it.
        found = [entry for entry in entries if last is None or entry.id >= last]
        if last is None:
            pass
        elif head is None or head < last or not self._continues(found):
            out.append(Resync(self.key))
            self.last, self.last_entry = head, None
            return self._resume(out)
        for entry in found:
            if last is None or entry.id > last:
                out.append(entry)
                last = entry.id
                self.last_entry = entry
        self.last = last
        if head is not None and (last is None or last < head):
            return out  # a page of a longer gap: still unready
        return self._resume(out)

    def _continues(self, found: list[Entry]) -> bool:
        """Return whether ``found`` follows from the last entry without a break."""
        assert self.last is not None
        before = self.last
        for entry in found:
            if entry.id == self.last:
                if self.last_entry is not None and not _same(entry, self.last_entry):
                    return False  # the same id, another event: the server lost some of its history
            elif entry.prev != before:
                return False
            before = entry.id
        return True

    def _resume(self, out: list[Item]) -> list[Item]:
        held, self._held = self._held, None
        self.ready = True
        for entry in held or ():
            if self.last is not None and entry.id <= self.last:
                continue
            if self.receive(entry):
                out.append(entry)
        return out

    def _hold(self, entry: Entry) -> None:
        if self._held is None:
            self._held = deque(maxlen=MAX_HELD)
        self._held.append(entry)


def _same(one: Entry, other: Entry) -> bool:
    return one.payload == other.payload and one.kind == other.kind and one.ts_ms == other.ts_ms
