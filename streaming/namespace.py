"""The part of a Redis server that is one world's: its keys and its Pub/Sub channels.

Worlds on one server are kept apart by their database numbers.  Pub/Sub knows no numbers, so the name of every channel
begins with one.  Worlds that share a number too have names (``redis://host/0?world=blue``): every key and channel of
such a world begins with ``world:blue:``.  A world without a name has its keys as they are.

All of it is done where a connection packs a command, so that nothing above can forget it: keys and channels are those
of the connection's world, as keys are those of the selected database.  Only what a server answers has full names
(``SCAN``, Pub/Sub messages).  See docs/decisions/0026-worlds-on-one-redis.md.
"""

from __future__ import annotations

import contextlib
import hashlib
from typing import Any, Final

import hiredis
from redis.asyncio import ConnectionPool, Redis

from streaming.lua import fragment, load

__all__ = ["EMPTY", "HOLDS_ANYTHING", "Namespace", "namespace_of", "put_into"]

#: What the keys of worlds with names begin with, and no key of a world without one.
NAMED: Final = "world:"

#: Where commands have their keys.  A command that is not here is refused in a world with a name.
_COMMANDS: Final = {
    "none": "AUTH CLIENT CONFIG DBSIZE DEBUG DISCARD EXEC HELLO INFO MULTI PING SELECT TIME UNWATCH",
    "first": "EXPIRE GET GETEX HDEL HEXISTS HGET HGETALL HINCRBY HKEYS HLEN HMGET HSET HSETNX INCR LINDEX LLEN LPUSH "
    "LRANGE LSET LTRIM PEXPIRE PEXPIRETIME PTTL SADD SCARD SET SISMEMBER SMEMBERS SPOP SREM SSCAN TTL TYPE XACK XADD "
    "XAUTOCLAIM XDEL XLEN XRANGE XREVRANGE XTRIM ZADD ZCARD ZMSCORE ZPOPMIN ZRANGE ZREM ZREMRANGEBYRANK "
    "ZREMRANGEBYSCORE ZREVRANGE ZSCORE",
    "second": "XGROUP XINFO XPENDING",
    "all": "DEL EXISTS MGET UNLINK WATCH",
}
_PLACES: Final = {command: place for place, commands in _COMMANDS.items() for command in commands.split()}

# Before every script: the names of its world, and the server's own functions.
_HEAD: Final = "local NAMESPACE, CHANNELS, server = '{prefix}', '{channels}', redis "
# And in a world with a name, KEYS and `redis.call` that take and mean names without it.
_NAMED_HEAD: Final = "\nlocal places = {{{}}}\n{}".format(
    ", ".join(f"{command} = '{place}'" for command, place in _PLACES.items()), fragment("streaming/named_world.lua")
)

#: Removes everything of a world.
EMPTY: Final = load("streaming/empty_world.lua", NAMED=NAMED)
#: 1 when there is anything of a world.
HOLDS_ANYTHING: Final = load("streaming/holds_anything.lua", NAMED=NAMED)


class Namespace:
    """One world's names on one server.

    Args:
        db: the database number of the world's connections.
        name: of the world, empty for the one that has the number for itself (or shares it with worlds that have names).
    """

    def __init__(self, db: int, name: str = "") -> None:
        self.prefix = f"{NAMED}{name}:" if name else ""
        self.channels = f"{db}:{self.prefix}"
        self._channels_bytes = self.channels.encode()
        head = _HEAD.format(prefix=self.prefix, channels=self.channels)
        self._head = head + _NAMED_HEAD if name else head
        #: SHA-1 of a script as its author wrote it, and as it was sent from here.
        self._sent: dict[str, str] = {}

    def key(self, key: str) -> str:
        """Return the full name of a key."""
        return self.prefix + key

    def without(self, channel: bytes) -> bytes:
        """Return the name of a channel as ``SUBSCRIBE`` was given it."""
        return channel.removeprefix(self._channels_bytes)

    def words(self, words: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return a command with the full names of what it is about.

        Raises:
            ValueError: it is not known where the command has its keys.
        """
        first = words[0]
        command: str = first.decode() if isinstance(first, bytes) else first
        if " " in command:  # redis-py has `XGROUP CREATE` for one word
            command, _, second = command.partition(" ")
            words = (command, second, *words[1:])
        if command in ("EVAL", "EVALSHA", "SCRIPT"):
            return self._script(command, words)
        if command in ("PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE"):
            upto = 2 if command == "PUBLISH" else len(words)
            return (command, *(self.channels + _text(name) for name in words[1:upto]), *words[upto:])
        return self._keys(command, words) if self.prefix else words

    def _script(self, command: str, words: tuple[Any, ...]) -> tuple[Any, ...]:
        if command == "EVALSHA":
            # One that was never sent from here is not known to the server: it says so, and is then sent the source.
            words = (command, self._sent.get(words[1], words[1]), *words[2:])
        elif command == "EVAL":
            words = (command, self._headed(words[1]), *words[2:])
        elif words[1] == "LOAD":
            return (command, "LOAD", self._headed(words[2]))
        else:
            return words
        if not self.prefix:
            return words
        count = int(words[2])
        return (*words[:3], *(self.prefix + _text(key) for key in words[3 : 3 + count]), *words[3 + count :])

    def _headed(self, source: str) -> str:
        headed = self._head + source
        self._sent[_sha1(source)] = _sha1(headed)
        return headed

    def _keys(self, command: str, words: tuple[Any, ...]) -> tuple[Any, ...]:
        match _PLACES.get(command):
            case "none":
                return words
            case "first":
                return (command, self.prefix + _text(words[1]), *words[2:])
            case "second":
                return (command, words[1], self.prefix + _text(words[2]), *words[3:])
            case "all":
                return (command, *(self.prefix + _text(key) for key in words[1:]))
        said = [word.decode(errors="replace") if isinstance(word, bytes) else word for word in words]
        if command == "SCAN" and "MATCH" in said:
            at = said.index("MATCH") + 1
            return (*words[:at], self.prefix + said[at], *words[at + 1 :])
        if command == "XREADGROUP" and "STREAMS" in said:
            at = said.index("STREAMS") + 1
            middle = at + (len(words) - at) // 2
            return (*words[:at], *(self.prefix + _text(key) for key in words[at:middle]), *words[middle:])
        raise ValueError(f"streaming.namespace does not know where {command} has its keys")


def _text(word: str | bytes) -> str:
    return word.decode() if isinstance(word, bytes) else word


def _sha1(source: str) -> str:
    return hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


class _InNamespace:
    """Mixin before a redis-py connection class: packs each command with the full names of its world."""

    namespace: Namespace

    def pack_command(self, *words: Any) -> Any:
        words = self.namespace.words(words)
        first = words[0]
        if " " not in (first if isinstance(first, str) else first.decode()):
            with contextlib.suppress(TypeError):  # redis-py says what can't be a word
                return [hiredis.pack_command(words)]  # for a fifth of what joining the words in Python takes
        return super().pack_command(*words)  # type: ignore[misc]


def put_into(pool: ConnectionPool, name: str = "") -> None:
    """Let the connections of ``pool`` use the world called ``name`` in their database.  Call before its first use."""
    namespace = Namespace(int(pool.connection_kwargs.get("db") or 0), name)
    cls = pool.connection_class
    pool.connection_class = type(f"Namespaced{cls.__name__}", (_InNamespace, cls), {"namespace": namespace})


def namespace_of(redis: Redis) -> Namespace:
    """Return the namespace of a client of ``streaming.connect``.

    Raises:
        AttributeError: the client was made in another way.
    """
    namespace: Namespace = redis.connection_pool.connection_class.namespace  # type: ignore[attr-defined]
    return namespace
