"""What the collector no longer looks at, and what it does."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from cluster import garbage

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


WORKER = """
import gc, sys
import cluster.garbage
print(gc.isenabled())
cluster.garbage.freeze_what_stays()
print(gc.isenabled())
"""


def test_nothing_is_collected_while_an_actor_imports(tmp_path: Path) -> None:
    for name, at_first in (("default_worker.py", "False"), ("chunkcrawl.py", "True")):
        script = tmp_path / name
        script.write_text(WORKER)
        found = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
        assert found.stdout.split() == [at_first, "True"], found.stderr


def test_actors_import_it_before_all_others() -> None:
    for name in ("shard_actor", "gateway_actor"):
        tree = ast.parse((Path(garbage.__file__).parent / f"{name}.py").read_text())
        imported = [one.module for one in tree.body if isinstance(one, ast.ImportFrom)]
        assert imported[:2] == ["__future__", "cluster.garbage"]
