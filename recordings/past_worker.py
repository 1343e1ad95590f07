"""A process that reads the past: one request a line on standard input, answers with their length before them.

It runs the past again with the CPU that nobody else wants, so that those who play do not wait for those who look back,
and ends with the end of its input: when the gateway ends, whichever way.

    {"directory", "url", "chunk_id", "first", "last", "limit"}  ->  a ``PastPage``
    {"directory", "url", "chunk_id", "ms"}                      ->  about which tick it was then; null
    {"directory", "url", "chunk_id", "kept"}                    ->  a ``KeptPast``
    {"directory", "url", "chunk_id", "first", "limit", "agent_id"}  ->  an ``AgentPage``
"""

from __future__ import annotations

import gc
import os
import signal
import struct
import sys
from pathlib import Path
from typing import Any, Final

import orjson

from recordings.agent_past import read_agent_past
from recordings.chunk_past import read_past, tick_at
from recordings.entry import BadRecording
from recordings.kept import read_kept
from recordings.places import Directory, Kept, NoSuchPlace, SegmentPlace, Several, place_of
from recordings.track import Catalog

LENGTH: Final = struct.Struct("<I")
#: What begins an answer: a page, a tick, what is kept, or that the place is away.
PAGE: Final = b"P"
TICK: Final = b"T"
KEPT: Final = b"K"
AWAY: Final = b"A"

LEAST_PRIORITY: Final = 19


def main() -> None:
    """Answer until the input ends."""
    # Ctrl-C and a closed terminal reach the whole group; the gateway decides when this ends.
    for ignored in (signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    os.nice(LEAST_PRIORITY)
    # A key frame is a million objects; to look again and again for circles among them takes as long as to make them.
    gc.disable()
    catalogs: dict[tuple[str, str], Catalog] = {}
    out = sys.stdout.buffer
    for line in sys.stdin.buffer:
        answer = answer_to(orjson.loads(line), catalogs)
        out.write(LENGTH.pack(len(answer)) + answer)
        out.flush()
        gc.collect()  # should anything of that answer stand in a circle; its world does not


def answer_to(asked: dict[str, Any], catalogs: dict[tuple[str, str], Catalog]) -> bytes:
    """Return the answer to a request; ``catalogs`` keeps what is known of places."""
    where = (asked["directory"], asked["url"])
    try:
        if where not in catalogs:
            catalogs[where] = Catalog(_places(*where))
        catalog = catalogs[where]
        if "ms" in asked:
            return TICK + orjson.dumps(tick_at(catalog, asked["chunk_id"], asked["ms"]))
        if "kept" in asked:
            return KEPT + read_kept(catalog, asked["chunk_id"]).pack()
        if "agent_id" in asked:
            agent_id, chunk_id, first, limit = (asked[name] for name in ("agent_id", "chunk_id", "first", "limit"))
            return PAGE + read_agent_past(catalog, agent_id, chunk_id, first, limit).pack()
        return PAGE + read_past(catalog, asked["chunk_id"], asked["first"], asked["last"], asked["limit"]).pack()
    except (OSError, NoSuchPlace, BadRecording):
        return AWAY
    except Exception as error:  # a chunk that is made when it is looked at may be damaged in any way
        print(f"the past can't be read: {type(error).__name__}", file=sys.stderr)
        return AWAY


def _places(directory: str, url: str) -> Several:
    places: list[SegmentPlace] = [_MaybeDirectory(Path(directory))]
    if url:
        places.append(place_of(url))
    return Several(places)


class _MaybeDirectory(Directory):
    """A directory that is empty as long as it is not there: on other nodes than the recorder's."""

    def segments(self) -> list[Kept]:
        """See ``SegmentPlace``."""
        return super().segments() if self.path.is_dir() else []


if __name__ == "__main__":
    main()
