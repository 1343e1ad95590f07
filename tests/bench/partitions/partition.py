"""A partition: its names, its slot, and the product's scripts as they run in it.

All keys of a partition bear its tag, ``{p7}:``, so that they are in one slot and one script may touch all of them; the
channels of its streams too.  The commit is the product's own script with three changes: it publishes with ``SPUBLISH``,
and it knows one more condition and four more operations.
"""

from __future__ import annotations

import functools
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Final

from redis.crc import key_slot

from streaming import commit, keys
from streaming.lua import Script, load
from tests.bench.partitions.nodes import node_of

__all__ = ["Partition"]

HERE: Final = Path(__file__).parent
#: Stands for a partition's tag while a script's text is made.
TAG: Final = "PARTITION:"


class Changed(AssertionError):
    """The product's script is not what the changes here are for."""


class Partition:
    """One partition, by its number."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.tag = f"{{p{number}}}:"
        self.node = node_of(key_slot(self.tag.encode()))

    def __str__(self) -> str:
        return f"p{self.number}"

    def key(self, name: str) -> str:
        """The full name of a key, or of a channel."""
        return self.tag + name

    def script(self, script: Script) -> Script:
        """A script as it is sent for this partition."""
        return _tagged(script, self.tag)


@functools.cache
def _tagged(script: Script, tag: str) -> Script:
    return Script(script.name, script.source.replace(TAG, tag), script.keys, script.args, script.tail, script.group)


def _names() -> ModuleType:
    """``streaming.keys`` with the tag before every key, and the keys that only partitions have."""
    module = ModuleType("partition_keys")

    def tagged(make: Any) -> Any:
        return lambda *words: TAG + make(*words)

    for name, value in vars(keys).items():
        if isinstance(value, FunctionType):
            setattr(module, name, tagged(value))
        elif isinstance(value, str) and name.isupper():
            setattr(module, name, TAG + value)
    for name in ("intents", "sent"):
        setattr(module, name.upper(), TAG + name)
    module.OUTBOX = TAG + "outbox:"  # type: ignore[attr-defined]
    return module


_NAMES: Final = _names()


def _commit() -> Script:
    constants = {name: getattr(commit, name) for name in ("ARCHIVE_MAXLEN", "RECORDING_MAXLEN", "REFUSAL_KNOWN_MS")}
    script = load("streaming/commit.lua", _NAMES, **constants)
    source = script.source.replace("redis.call('PUBLISH'", "redis.call('SPUBLISH'")
    source = _before(source, "    if not ok then lost", (HERE / "more_conditions.lua").read_text())
    source = _before(source, "  else\n    return redis.error_reply('unknown op", (HERE / "more_ops.lua").read_text())
    names = "".join(f"local {name} = '{getattr(_NAMES, name)}'\n" for name in ("INTENTS", "SENT", "OUTBOX"))
    return Script("commit_partition", names + source, script.keys, script.args, script.tail, script.group)


def _before(source: str, place: str, more: str) -> str:
    if source.count(place) != 1:
        raise Changed(f"streaming/commit.lua has no single {place.strip()!r} any more: bring partition.py up to date")
    return source.replace(place, more + place)


COMMIT: Final = _commit()
ACQUIRE: Final = load("streaming/acquire_lease.lua")
DELIVER: Final = load("tests/bench/partitions/deliver.lua", _NAMES)
WITHDRAW: Final = load("tests/bench/partitions/withdraw.lua", _NAMES)
