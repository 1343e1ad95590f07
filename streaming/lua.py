"""Lua scripts: each a ``.lua`` file beside the Python that runs it, with names for all that it takes.

A file begins with a comment: what the script does and returns, then what it takes, which the loader makes locals of.

    -- keys: chunk                              local chunk = KEYS[1]
    -- args: shard, epoch, *members             local shard, epoch = ARGV[1], ARGV[2]; local members = 3
    -- members: agent, record                   (what ``*members`` is made of; nothing is written for it)
    -- include: streaming/redis_clock.lua       that file's text, once, whoever asks for it

So a body has no ``KEYS[n]`` or ``ARGV[n]``.  ``*members`` is a tail of any length: its local is the place of its first
word in ``ARGV``, and it is read with ``for i = members, #ARGV, 2 do local agent, record = unpack(ARGV, i, i + 1)``.

Names in capitals come from Python: what a key begins with (``AGENT .. id`` for ``keys.agent(id)``) or a constant.  Only
``CHANNELS``, which stands before the name of a channel, is the world's (``streaming.namespace``).

A script is called by these names, which gives a ``Call``; ``run``, ``run_all`` and ``queue`` send it.
See docs/decisions/0052-lua-files.md.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Protocol

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import NoScriptError, RedisError

from streaming import keys as shared_keys

Word = str | bytes | int | float

#: The rooms lie here, in a checkout and where a wheel was installed.
ROOT: Final = Path(__file__).parents[1]

#: Names in capitals that are not from Python: Redis', and those of the namespace.
GIVEN: Final = frozenset({"KEYS", "ARGV", "CHANNELS", "NAMESPACE"})

_DECLARATION: Final = re.compile(r"-- (\w+): +(.+)")
_CODE: Final = re.compile(r"--[^\n]*|'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"|(?P<name>[A-Za-z_]\w*)")
_FROM_PYTHON: Final = re.compile(r"[A-Z][A-Z0-9_]+")


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script and the names of what it takes."""

    name: str
    source: str
    keys: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    #: The name of the words after the others, of which there may be any number.
    tail: str | None = None
    #: What each item of the tail consists of; empty: of one word.
    group: tuple[str, ...] = ()
    #: The SHA-1 that EVALSHA wants.
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "sha", digest)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of all that a call gives, in order."""
        return (*self.keys, *self.args, *([self.tail] if self.tail else []))

    def __call__(self, **given: Any) -> Call:
        """Return a call with these keys and arguments; of a tail the words, or the items if it is made of groups.

        Raises:
            TypeError: other names than the script's, or an item of another length than its group.
        """
        if given.keys() != set(self.names):
            raise TypeError(f"{self.name} takes {', '.join(self.names)}, not {', '.join(given)}")
        args = [given[name] for name in self.args]
        if self.tail:
            args += self._grouped(given[self.tail]) if self.group else given[self.tail]
        return Call(self, tuple(given[name] for name in self.keys), tuple(args))

    def _grouped(self, items: Iterable[Sequence[Word]]) -> Iterator[Word]:
        for item in items:
            if len(item) != len(self.group):
                raise TypeError(f"{self.name}: each of {self.tail} is {', '.join(self.group)}")
            yield from item


@dataclass(frozen=True, slots=True)
class Call:
    """A script with what it is to be given."""

    script: Script
    keys: tuple[str, ...]
    args: tuple[Word, ...]

    @property
    def words(self) -> tuple[Word, ...]:
        """Return the command for a server that knows the script; another runs nothing and answers ``NOSCRIPT``."""
        return ("EVALSHA", self.script.sha, len(self.keys), *self.keys, *self.args)

    @property
    def words_with_source(self) -> tuple[Word, ...]:
        """Return the command for any server; from then on it knows the script."""
        return ("EVAL", self.script.source, len(self.keys), *self.keys, *self.args)


class CommandExecutor(Protocol):
    """Runs commands: a client of ``streaming.connect``, or ``streaming.direct_redis``."""

    async def execute_command(self, *words: Any) -> Any:
        """Return the answer to a command.

        Raises:
            RedisError: it may or may not have run.
        """
        ...


class CommandsExecutor(Protocol):
    """Runs many commands in one go: ``streaming.direct_redis``."""

    async def execute_all(self, commands: Sequence[tuple[Word, ...]]) -> list[Any]:
        """Return the answers to commands, an error answer too.

        Raises:
            RedisError: the connection broke; any of them may or may not have run.
        """
        ...


async def run(redis: CommandExecutor, call: Call) -> Any:
    """Run a call and return its answer.

    Raises:
        RedisError: it may or may not have run.
    """
    try:
        return await redis.execute_command(*call.words)
    except NoScriptError:
        return await redis.execute_command(*call.words_with_source)


async def run_all(redis: Redis | CommandsExecutor, commands: Sequence[Call | tuple[Word, ...]]) -> list[Any]:
    """Return the answers to calls and plain commands, sent in one pipeline; of each that failed, its error.

    Raises:
        RedisError: the connection broke; any of them may or may not have run.
    """
    answers = await _pipelined(redis, [c.words if isinstance(c, Call) else c for c in commands])
    # A refused EVALSHA has run nothing, so it may be sent again: with the source the first time, which makes it known.
    again: dict[int, tuple[Word, ...]] = {}
    sent: set[str] = set()
    for place, (command, answer) in enumerate(zip(commands, answers, strict=True)):
        if isinstance(answer, NoScriptError) and isinstance(command, Call):
            again[place] = command.words if command.script.sha in sent else command.words_with_source
            sent.add(command.script.sha)
    if again:
        try:
            found = await _pipelined(redis, list(again.values()))
        except (RedisError, OSError, TimeoutError) as error:  # the others have their answers
            found = [error] * len(again)
        for place, answer in zip(again, found, strict=True):
            answers[place] = answer
    return answers


async def _pipelined(redis: Redis | CommandsExecutor, commands: Sequence[tuple[Word, ...]]) -> list[Any]:
    if not isinstance(redis, Redis):
        return await redis.execute_all(commands)
    pipe = redis.pipeline(transaction=False)
    for words in commands:
        pipe.execute_command(*words)
    return await pipe.execute(raise_on_error=False)


def queue(transaction: Pipeline, call: Call) -> None:
    """Put a call into a transaction; with its source, since the rest would be executed if the script weren't known."""
    transaction.execute_command(*call.words_with_source)


# -- files --


def load(path: str, *modules: ModuleType, **constants: Word) -> Script:
    """Read the script in a file, ``path`` being that of the repository.

    Names in capitals are looked up in ``constants``, ``modules`` and ``streaming.keys``, in this order; ``AGENT`` is
    either a value ``AGENT`` or what ``agent("")`` gives.

    Raises:
        ValueError: the file uses a name that is nowhere, or not one that was given for it.
    """
    declared = declarations((ROOT / path).read_text(encoding="utf-8"))
    *args, last = declared.get("args") or ("",)
    tail = last[1:] if last.startswith("*") else None
    if last and not tail:
        args.append(last)
    group = declared.get(tail, ()) if tail else ()
    source = _with_names(path, _expand(path, set()), modules, constants)
    return Script(Path(path).stem, source, declared.get("keys", ()), tuple(args), tail, group)


def fragment(path: str, *modules: ModuleType, **constants: Word) -> str:
    """Return the text of a file that scripts include."""
    return _with_names(path, _expand(path, set()), modules, constants)


def declarations(text: str) -> dict[str, tuple[str, ...]]:
    """Return what the comment at the beginning of a file declares."""
    found: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        if not line.startswith("--"):
            break
        if declared := _DECLARATION.fullmatch(line):
            found[declared[1]] = (*found.get(declared[1], ()), *declared[2].split(", "))
    return found


def code_names(text: str) -> list[str]:
    """Return every name in the code, in order: not in comments or strings."""
    return [found["name"] for found in _CODE.finditer(text) if found["name"]]


def _expand(path: str, included: set[str]) -> str:
    """Return a file's text after that of its includes, each once."""
    included.add(path)
    text = (ROOT / path).read_text(encoding="utf-8")
    declared = declarations(text)
    before = [_expand(other, included) for other in declared.get("include", ()) if other not in included]
    return "".join(before) + _locals(declared) + text


def _locals(declared: Mapping[str, tuple[str, ...]]) -> str:
    said = ""
    for place in ("keys", "args"):
        names = declared.get(place, ())
        positions = [
            str(n) if name.startswith("*") else f"{'KEYS' if place == 'keys' else 'ARGV'}[{n}]"
            for n, name in enumerate(names, 1)
        ]
        if names:
            said += f"local {', '.join(name.lstrip('*') for name in names)} = {', '.join(positions)}\n"
    return said


def _with_names(path: str, text: str, modules: Sequence[ModuleType], constants: Mapping[str, Word]) -> str:
    used = sorted({name for name in code_names(text) if _FROM_PYTHON.fullmatch(name)} - GIVEN)
    if unused := constants.keys() - used:
        raise ValueError(f"{path} has no {', '.join(sorted(unused))}")
    if not used:
        return text
    values = [_literal(_value(path, name, (*modules, shared_keys), constants)) for name in used]
    return f"local {', '.join(used)} = {', '.join(values)}\n{text}"


def _value(path: str, name: str, modules: Sequence[ModuleType], constants: Mapping[str, Word]) -> Any:
    if name in constants:
        return constants[name]
    for module in modules:
        if hasattr(module, name):
            return getattr(module, name)
        if hasattr(module, name.lower()):
            return getattr(module, name.lower())("")
    raise ValueError(f"{path}: {name} is neither a key nor a constant")


def _literal(value: Word) -> str:
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, str) or not re.fullmatch(r"[\w:.,-]*", value):
        raise ValueError(f"not a name that a script can be given: {value!r}")
    return f"'{value}'"
