"""Keeps Python's garbage collector from looking again and again at what an actor has had since it began.

A gateway has imported and made 184,000 objects before its first connection; to look through all of them takes 98 ms, in
which it answers nobody, and happens whenever a quarter as many new ones have gathered, so while agents join.  Its
thresholds stay Python's: while agents play, collections take less than 1 % of the CPU (docs/performance.md).

Nor does it look while all that is made: a shard's process comes back a tenth of a second earlier for it.  So an actor's
module imports this one before all others, which in a worker of Ray's ends collecting until ``freeze_what_stays``.
"""

from __future__ import annotations

import gc
import sys
from typing import Final

__all__ = ["freeze_what_stays"]

#: What Ray runs in the processes of actors.
RAY_WORKER: Final = "default_worker.py"

if sys.argv and sys.argv[0].endswith(RAY_WORKER):
    gc.disable()


def freeze_what_stays() -> None:
    """Keep what exists now out of all later collections; call it once, when all is made that stays.

    What of it is let go of later is still freed, unless it stands in a circle; so it must be nothing that comes and
    goes.
    """
    # Not collected before: importing leaves next to nothing (20 objects), and a shard that comes back is waited for.
    gc.freeze()
    gc.enable()
