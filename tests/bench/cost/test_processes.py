"""Whose CPU it is."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.bench.cost.processes import ROLES, Process, cores, look, memory_mb, roles_of


def tree(*processes: tuple[int, int, str, float]) -> dict[int, Process]:
    return {pid: Process(pid, parent, title, cpu_s) for pid, parent, title, cpu_s in processes}


WORLD = (
    (1, 0, "python chunkcrawl up", 1.0),
    (2, 1, "/x/raylet --node", 2.0),
    (3, 2, "ray::Gateway", 3.0),
    (4, 3, "python -c hash passwords", 4.0),
    (5, 2, "ray::ShardActor.run", 5.0),
    (6, 1, "/x/valkey-server 127.0.0.1:1", 6.0),
    (7, 2, "ray::ChunkArchiver", 7.0),
    (8, 1, "/x/postgres -D data", 8.0),
    (9, 8, "postgres: walwriter", 9.0),
    (10, 2, "ray::Coordinator.status", 10.0),
)


def test_a_child_has_its_parents_role_unless_it_has_one() -> None:
    found = roles_of(tree(*WORLD))
    assert found == {
        **dict.fromkeys((1, 2), "others"),
        **dict.fromkeys((3, 4), "gateways"),
        5: "shards",
        6: "valkey",
        7: "archiver",
        **dict.fromkeys((8, 9), "postgres"),
        10: "coordinator",
    }


def test_a_process_that_began_in_between_counts_whole_and_one_that_ended_not() -> None:
    before = tree(*WORLD[:2], (3, 2, "ray::Gateway", 1.0), (99, 2, "ray::Gateway", 50.0))
    after = tree(*WORLD[:4])
    assert cores(before, after, 2.0) == dict.fromkeys(ROLES, 0.0) | {"gateways": 3.0}


def test_memory_is_that_of_the_role() -> None:
    found = memory_mb({3: Process(3, 0, "ray::Gateway", 1.0, 50.0), 4: Process(4, 3, "python hash", 1.0, 30.0)})
    assert found == dict.fromkeys(ROLES, 0.0) | {"gateways": 80.0}


def test_looking_finds_children_and_their_time() -> None:
    busy = "import time\nwhile time.process_time() < 0.2: pass\nprint(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", busy], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        found = look(os.getpid())
        child.communicate("\n")
    assert found[child.pid].cpu_s >= 0.19
    assert found[child.pid].parent == os.getpid()
    assert 1 < found[child.pid].memory_mb < 100
    assert 1 not in found
