"""Keeps Python's garbage collector from looking again and again at what an actor has had since it began.

A gateway has imported and made 184,000 objects before its first connection; to look through all of them takes 98 ms, in
which it answers nobody, and happens whenever a quarter as many new ones have gathered, so while agents join.  Its
thresholds stay Python's: while agents play, collections take less than 1 % of the CPU (docs/performance.md).
"""

from __future__ import annotations

import gc

__all__ = ["freeze_what_stays"]


def freeze_what_stays() -> None:
    """Keep what exists now out of all later collections; call it once, when all is made that stays.

    What of it is let go of later is still freed, unless it stands in a circle; so it must be nothing that comes and
    goes.
    """
    # Not collected before: importing leaves next to nothing (20 objects), and a shard that comes back is waited for.
    gc.freeze()
