r"""One entry of a recording: what one commit of a shard was made of, as bytes that a hash chain runs over.

    CHAIN (32 hex digits) \n BODY \n FRAME (only now and then)

The body is JSON on one line: ``n``, the number within the life of the shard's memory; ``t``, the tick; ``o``, what was
done in order, ``[first, last]`` for steps and ``[kind, fields]`` for an input; ``h``, in the first of a life, the
header; ``d``, every so many ticks, the digests of the chunks that changed since the last ones.  The chain is over the
chain before and the body.  The frame is left out of it: it says nothing that a replay doesn't give.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, TypeVar

import orjson

from world.inputs import Input, Submit
from world.recording import NotARecording, decode_input, encode_input
from world.rules import RULES_VERSION, Rules, made_by_other_rules

#: Version of entries and of the segments that they lie in.
FORMAT: Final = 1
CHAIN_CHARS: Final = 32
#: What the first entry of a life is chained to.
FIRST_CHAIN: Final = "0" * CHAIN_CHARS
#: Bound of numbers in a file of somebody else's: what JSON carries exactly everywhere.
NUMBER_MOST: Final = 2**53 - 1
NUMBER_CHARS_MOST: Final = len(str(NUMBER_MOST))

T = TypeVar("T")


class BadRecording(ValueError):
    """Something in a recording is not what this release writes; the message says what."""


def field_of(data: Mapping[str, Any], name: str, kind: type[T]) -> T:
    """Return a field of what JSON gave, of exactly this kind: ``True`` is no number.

    Raises:
        BadRecording: it is missing, or of another kind.
    """
    if name not in data:
        raise BadRecording(f"without {name!r}")
    value = data[name]
    if type(value) is not kind:
        raise BadRecording(f"{name} is not of the kind {kind.__name__}")
    return value


def number_of(data: Mapping[str, Any], name: str, least: int = 0, most: int = NUMBER_MOST) -> int:
    """Return a field that is a whole number within bounds, both included.  Raises as ``field_of``."""
    number = field_of(data, name, int)
    if not least <= number <= most:
        raise BadRecording(f"{name} is out of bounds")
    return number


def texts_of(data: Mapping[str, Any], name: str) -> list[str]:
    """Return a field that is a list of texts.  Raises as ``field_of``."""
    texts = field_of(data, name, list)
    if any(type(one) is not str for one in texts):
        raise BadRecording(f"{name} is no list of texts")
    return texts


@dataclass(frozen=True, slots=True)
class Header:
    """What a life of a shard's memory begins with: from an empty world to its end, or to going back to a commit."""

    shard: int
    epoch: int
    seed: int
    rules: dict[str, Any]
    #: Epoch, number and chain of the last entry committed before it, as ``RecordedUpTo.text`` writes them; empty: none.
    previous: str = ""
    rules_version: int = RULES_VERSION
    format: int = FORMAT

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, data: object) -> Header:
        """Read what ``to_json`` wrote; later fields are not looked at.

        Raises:
            BadRecording: it is none.
        """
        if not isinstance(data, dict):
            raise BadRecording("no header")
        try:
            return cls(
                shard=number_of(data, "shard"),
                epoch=number_of(data, "epoch"),
                seed=field_of(data, "seed", int),
                rules=field_of(data, "rules", dict),
                previous=field_of(data, "previous", str),
                rules_version=field_of(data, "rules_version", int),
                format=field_of(data, "format", int),
            )
        except BadRecording as error:
            raise BadRecording(f"the header: {error}") from None

    def why_not_here(self) -> str | None:
        """Return why this release can't run it again; None: it can."""
        if self.format != FORMAT:
            return f"its format is {self.format}, this release reads {FORMAT}: use the release that wrote it"
        if self.rules_version != RULES_VERSION:
            return made_by_other_rules(self.rules_version, RULES_VERSION)
        return None

    def rules_of(self) -> Rules:
        """Return the rules.

        Raises:
            BadRecording: they are none of this version.
        """
        try:
            return Rules.from_json(self.rules)
        except (TypeError, ValueError) as error:
            raise BadRecording(f"the header's rules: {error}") from None


@dataclass(frozen=True, slots=True)
class RecordedUpTo:
    """Where a shard's recording has come to."""

    epoch: int
    n: int
    chain: str

    @property
    def text(self) -> str:
        """Return it as three words."""
        return f"{self.epoch} {self.n} {self.chain}"

    @classmethod
    def read(cls, text: str) -> RecordedUpTo | None:
        """Read what ``text`` gave; None for anything else."""
        words = text.split(" ")
        if len(words) != 3 or not all(one.isdecimal() and len(one) <= NUMBER_CHARS_MOST for one in words[:2]):
            return None
        return cls(int(words[0]), int(words[1]), words[2])


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry, read."""

    n: int
    tick: int
    done: list[Any]
    header: Header | None
    digests: dict[str, list[str]]
    chain: str
    body: bytes

    def operations(self) -> list[Input | tuple[int, int]]:
        """Return what was done: inputs, and steps as their first and last tick.

        Raises:
            BadRecording: something of it can't be read.
        """
        return [_operation(one) for one in self.done]


def chain_after(chain: str, body: bytes) -> str:
    """Return the chain after an entry with this body."""
    return blake2b(body, key=chain.encode(), digest_size=CHAIN_CHARS // 2).hexdigest()


def encode_done(told: Sequence[Input | list[int]]) -> list[Any]:
    """Return what was done as values that orjson writes."""
    return [one if isinstance(one, list) else _encode(one) for one in told]


def _encode(order: Input) -> list[Any]:
    if type(order) is Submit:
        return ["Submit", order]  # orjson writes its fields by itself
    line = encode_input(order)
    return [line.pop("input"), {name: value for name, value in line.items() if name != "rec"}]


def dump_body(body: Mapping[str, Any]) -> bytes:
    """Return a body as bytes, whatever the commands in it carry."""
    try:
        return orjson.dumps(body)
    except TypeError:
        done = [["Submit", _plain_submit(one[1])] if one[0] == "Submit" else one for one in body["o"]]
        return orjson.dumps({**body, "o": done})


def _plain_submit(order: Submit) -> dict[str, Any]:
    """Return a command that orjson won't write (huge numbers, lone surrogates) with its ``cmd`` as text."""
    line = {name: getattr(order, name) for name in order.__slots__ if name != "cmd"}
    line = {name: json.dumps(value) if _is_odd(value) else value for name, value in line.items()}
    try:
        return {**line, "cmd_text": json.dumps(order.cmd)}
    except (TypeError, ValueError, RecursionError):
        return {**line, "cmd": None}  # no JSON at all: invalid either way


def _is_odd(value: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in value)


def _operation(one: Any) -> Input | tuple[int, int]:
    try:
        first, second = one
        if isinstance(first, int):
            return first, int(second)
        fields = dict(second)
        if "cmd_text" in fields:
            fields["cmd"] = json.loads(fields.pop("cmd_text"))
        return decode_input({"input": first, **fields})
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError, NotARecording) as error:
        raise BadRecording(f"an input that can't be read: {error}") from None


def pack(chain: str, body: bytes, frame: bytes | None) -> bytes:
    """Return an entry's bytes."""
    return b"%s\n%s\n%s" % (chain.encode(), body, frame) if frame else b"%s\n%s" % (chain.encode(), body)


def unpack(message: bytes) -> tuple[str, bytes, bytes | None]:
    """Return an entry's chain, body and frame.

    Raises:
        BadRecording: it is none.
    """
    chain, _, rest = message.partition(b"\n")
    body, _, frame = rest.partition(b"\n")
    if len(chain) != CHAIN_CHARS or not body:
        raise BadRecording("not an entry")
    return chain.decode(errors="replace"), body, frame or None


def read_entry(chain: str, body: bytes) -> Entry:
    """Read an entry.

    Raises:
        BadRecording: it is none of this version.
    """
    try:
        data = orjson.loads(body)
        if not isinstance(data, dict):
            raise BadRecording("no JSON object")
        return Entry(
            n=number_of(data, "n"),
            tick=number_of(data, "t"),
            done=field_of(data, "o", list),
            header=Header.from_json(data["h"]) if "h" in data else None,
            digests=field_of(data, "d", dict) if "d" in data else {},
            chain=chain,
            body=body,
        )
    except (orjson.JSONDecodeError, BadRecording) as error:
        raise BadRecording(f"an entry that can't be read: {error}") from None
