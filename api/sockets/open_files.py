"""How many files this process may open; every connection is one."""

from __future__ import annotations

import contextlib
import resource
from typing import Final

#: Kept for all that is no connection of a client's: Ray, logs, pools, and what is accepted before it is refused.
FILES_KEPT: Final = 512
#: Where the system sets no bound.
FILES_MOST: Final = 1_048_576


def raise_open_files() -> int:
    """Raise the soft limit to the hard one, as far as the system lets us; return the limit in force."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_MOST if hard == resource.RLIM_INFINITY else hard
    with contextlib.suppress(OSError, ValueError):  # macOS has a lower bound of its own
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return FILES_MOST if soft == resource.RLIM_INFINITY else soft
