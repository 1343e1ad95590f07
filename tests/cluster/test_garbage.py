"""What the collector no longer looks at, and what it does."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import gc, weakref
from cluster.garbage import freeze_what_stays

class Node: pass

kept = [Node() for _ in range(1_000)]
freeze_what_stays()
assert gc.get_freeze_count() > 1_000
assert not any(one is kept for one in gc.get_objects())
gone = weakref.ref(kept.pop())
assert gone() is None, "freed by its count"
later = Node()
later.circle = later
watched = weakref.ref(later)
del later
gc.collect()
assert watched() is None, "circles made later are found"
print("ok")
"""


def test_what_was_there_is_left_alone_and_what_comes_later_is_collected() -> None:
    # In a process of its own: what is frozen in this one would stay.
    found = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert found.stdout == "ok\n", found.stderr
