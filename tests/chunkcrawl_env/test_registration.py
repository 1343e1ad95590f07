"""Names for gymnasium, and what is said where it is not installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import gymnasium

from chunkcrawl_env.registration import NAMES, register_all

ROOT = Path(__file__).parents[2]
#: As if the packages were not installed.
WITHOUT = """
import importlib.util, sys
find = importlib.util.find_spec
hidden = {"gymnasium", "pettingzoo"}
importlib.util.find_spec = lambda name, *rest: None if name in hidden else find(name, *rest)
import chunkcrawl_env
assert not hidden & sys.modules.keys()
worlds = chunkcrawl_env.Worlds(chunkcrawl_env.EnvConfig())
worlds.reset()
print(worlds.observe().shape)
for make in (chunkcrawl_env.parallel_env, lambda: chunkcrawl_env.vector_env(1)):
    try:
        make()
    except ImportError as error:
        print(error)
"""


def test_every_name_can_be_made() -> None:
    register_all()
    assert {name for name in gymnasium.registry if name.startswith("Chunkcrawl/")} == set(NAMES)
    for name in NAMES:
        gymnasium.make(name).close()


def test_without_the_extra_there_are_worlds_and_the_remedy_is_named() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == [
        "(8, 11, 11, 6)",
        "gymnasium is missing: pip install 'chunkcrawl-env[rl]'",
        "gymnasium is missing: pip install 'chunkcrawl-env[rl]'",
    ], done.stderr
