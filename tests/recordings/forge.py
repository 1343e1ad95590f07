"""Segments as somebody else could write them: any value anywhere, with checksums that fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import orjson
import zstandard

from recordings.segment import (
    _OFFSET,
    _RECORD,
    DICTIONARY,
    END,
    ENTRY,
    FRAME,
    LEVEL,
    MAGIC,
    Segment,
    _check,
    pack_head,
    records,
)

Change = Callable[[Any], Any]
#: The block whose head is changed, or how it is packed; of records it is the first of its kind.
AT: Final = 1


def forge(
    path: Path,
    *,
    head: Change | None = None,
    block: Change | None = None,
    entry: Change | None = None,
    frame: Change | None = None,
    packed: Callable[[bytes], bytes] | None = None,
) -> None:
    """Write a segment anew; each change takes what stands there as JSON, and returns what is to stand there instead.

    ``packed`` is given a block's data, and returns them compressed.
    """
    with path.open("rb") as file:
        segment = Segment(file)
        blocks = [(one.to_json(), list(records(segment.data(one)))) for one in segment.blocks]
    dictionary = zstandard.ZstdCompressionDict(DICTIONARY, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    compressor = zstandard.ZstdCompressor(level=LEVEL, dict_data=dictionary)
    data = MAGIC + pack_head(_changed(segment.head.to_json(), head))
    index: list[Any] = []
    changes = {ENTRY: entry, FRAME: frame}
    for number, (said, lines) in enumerate(blocks):
        raw = b""
        for kind, line in lines:
            change, changes[kind] = changes[kind], None
            if change is not None:
                line = _rewritten(kind, line, change)
            raw += _RECORD.pack(kind, len(line)) + line
        compressed = packed(raw) if packed is not None and number == AT else compressor.compress(raw)
        said |= {"at": len(data), "length": len(compressed), "check": _check(compressed).hex(), "unpacked": len(raw)}
        said = _changed(said, block) if number == AT else said
        index.append(said)
        data += pack_head(said) + compressed
    path.write_bytes(data + pack_head(index) + _OFFSET.pack(len(data)) + END)


def put(*way: Any, value: Any) -> Change:
    """Return the change that puts a value where a way of names and numbers leads."""

    def change(told: Any) -> Any:
        target = told
        for step in way[:-1]:
            target = target[step]
        target[way[-1]] = value
        return told

    return change


def without(name: str) -> Change:
    """Return the change that leaves a field out."""
    return lambda told: {one: value for one, value in told.items() if one != name}


def _changed(told: Any, change: Change | None) -> Any:
    return told if change is None else change(orjson.loads(orjson.dumps(told)))


def _rewritten(kind: bytes, line: bytes, change: Change) -> bytes:
    if kind == FRAME:
        return orjson.dumps(change(orjson.loads(line)))
    chain, _, body = line.partition(b"\n")
    return chain + b"\n" + orjson.dumps(change(orjson.loads(body)))
