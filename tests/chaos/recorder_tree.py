"""A copy of the tree in which the recorder ends its own process at the points that it is told, or waits there.

Whoever runs it says so by files in a directory: ``armed/POINT`` ends the process there once, and leaves ``ended/POINT``
with its pid; while ``hold`` is there a recorder that opens its directory waits, and says ``held``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.chaos.patched_tree import Patch, patched_tree

RECORDER: Final = "cluster/recorder.py"
WRITER: Final = "recordings/writer.py"
LANE: Final = "recordings/lane.py"
SEGMENT: Final = "recordings/segment.py"
PLACES: Final = "recordings/places.py"
COMMIT: Final = "streaming/commit.py"

MODULE: Final = """
import os
import signal
import time
from pathlib import Path

ORDERS = Path({orders!r})


def is_armed(point):
    return (ORDERS / "armed" / point).exists()


def may_end_here(point):
    try:
        (ORDERS / "armed" / point).unlink()
    except FileNotFoundError:
        return
    (ORDERS / "ended" / point).write_text(str(os.getpid()))
    os.kill(os.getpid(), signal.SIGKILL)


def may_wait_here():
    while (ORDERS / "hold").exists():
        (ORDERS / "held").write_text(str(os.getpid()))
        time.sleep(0.05)
"""

IMPORT: Final = "from recordings.ends_itself import is_armed, may_end_here, may_wait_here\n"
IMPORTS: Final = (
    Patch(RECORDER, "from recordings.digests import one_line\n", "from recordings.digests import one_line\n" + IMPORT),
    Patch(WRITER, "from recordings.names import SPOILT", IMPORT + "from recordings.names import SPOILT"),
    Patch(LANE, "from recordings.names import FINISHED", IMPORT + "from recordings.names import FINISHED"),
    Patch(SEGMENT, "from recordings.entry import FORMAT", IMPORT + "from recordings.entry import FORMAT"),
    Patch(PLACES, "from recordings.names import SegmentName", IMPORT + "from recordings.names import SegmentName"),
)
#: Everything in seconds instead of in minutes.
SOONER: Final = (
    Patch(RECORDER, "FLUSH_S: Final = 15.0", "FLUSH_S: Final = 1.0"),
    Patch(RECORDER, "TIDY_EVERY_S: Final = 60.0", "TIDY_EVERY_S: Final = 2.0"),
)
#: A journal that keeps half a minute of a small world.
SHORT_JOURNAL: Final = Patch(COMMIT, "RECORDING_MAXLEN: Final = 100_000", "RECORDING_MAXLEN: Final = 150")


def _before(path: str, line: str, point: str) -> Patch:
    return Patch(path, line, _end(line, point) + line)


def _after(path: str, line: str, point: str) -> Patch:
    return Patch(path, line, line + _end(line, point))


def _around(path: str, line: str, before: str, after: str) -> Patch:
    return Patch(path, line, _end(line, before) + line + _end(line, after))


def _end(line: str, point: str) -> str:
    indent = line[: len(line) - len(line.lstrip(" "))]
    return f'{indent}may_end_here("{point}")\n'


POINTS: Final = (
    # entries are read and put into blocks in memory
    Patch(
        RECORDER,
        "        if found and found[0][1]:\n",
        '        if given:\n            may_end_here("read")\n        if found and found[0][1]:\n',
    ),
    _after(RECORDER, "            await self._write(self._add, writer, given)\n", "taken"),
    _around(
        RECORDER,
        "                await self._redis.hset(keys.RECORDING_HEADERS, mapping=self._untold)\n",
        "a life begins",
        "its header is told",
    ),
    # blocks are written, fsync
    _around(RECORDER, "            await self._write(writer.flush)\n", "before writing", "on the disk"),
    Patch(
        SEGMENT,
        "        self._file.write(pack_head(head.to_json()) + data)\n",
        "        written = pack_head(head.to_json()) + data\n"
        '        if is_armed("half a block"):\n'
        "            self._file.write(written[: len(written) // 2])\n"
        "            self._file.flush()\n"
        '            may_end_here("half a block")\n'
        "        self._file.write(written)\n"
        '        if is_armed("a block"):\n'
        "            self._file.flush()\n"
        '            may_end_here("a block")\n',
    ),
    Patch(
        SEGMENT,
        "        self._file.flush()\n        os.fsync(self._file.fileno())\n",
        '        self._file.flush()\n        may_end_here("before fsync")\n'
        '        os.fsync(self._file.fileno())\n        may_end_here("after fsync")\n',
    ),
    Patch(
        WRITER,
        "            lane.flush()\n",
        '            lane.flush()\n            may_end_here("one shard on the disk")\n',
    ),
    # digests are told to watchers
    _after(RECORDER, "            await self._tell_digests()\n", "digests told"),
    # the stream is trimmed
    Patch(
        RECORDER,
        "            await self._redis.xtrim(keys.RECORDING_STREAM, minid=_next(self._read), approximate=False)\n",
        "            trimming = asyncio.ensure_future(\n"
        "                self._redis.xtrim(keys.RECORDING_STREAM, minid=_next(self._read), approximate=False)\n"
        "            )\n"
        "            await asyncio.sleep(0)  # it is on its way\n"
        '            may_end_here("trimming")\n'
        "            await trimming\n"
        '            may_end_here("trimmed")\n',
    ),
    # a segment gets its index and its name; the next begins
    _before(SEGMENT, "        at = self._file.tell()\n", "a segment ends"),
    Patch(
        SEGMENT,
        "        self._file.write(pack_head([block.to_json() for block in self.blocks]) + _OFFSET.pack(at) + END)\n",
        "        index = pack_head([block.to_json() for block in self.blocks]) + _OFFSET.pack(at) + END\n"
        '        if is_armed("half an index"):\n'
        "            self._file.write(index[: len(index) // 2])\n"
        "            self._file.flush()\n"
        '            may_end_here("half an index")\n'
        "        self._file.write(index)\n"
        '        if is_armed("an index"):\n'
        "            self._file.flush()\n"
        '            may_end_here("an index")\n',
    ),
    _around(LANE, "    path.rename(final)\n", "before the name", "after the name"),
    _after(LANE, "        os.fsync(directory)\n", "the name on the disk"),
    Patch(
        SEGMENT,
        "        self._file.write(MAGIC + pack_head(head.to_json()))\n",
        '        may_end_here("an empty file")\n'
        "        self._file.write(MAGIC + pack_head(head.to_json()))\n"
        '        if is_armed("a file with its head"):\n'
        "            self._file.flush()\n"
        '            may_end_here("a file with its head")\n',
    ),
    # the next recorder gives it the rest
    Patch(WRITER, "            self._recover()\n", "            may_wait_here()\n            self._recover()\n"),
    _before(WRITER, "                if not complete(path, self._is_taken):\n", "before mending"),
    _after(SEGMENT, "            file.truncate(end)\n", "the torn end cut off"),
    Patch(
        SEGMENT,
        "            file.write(index + _OFFSET.pack(end) + END)\n",
        '            if is_armed("half an index in mending"):\n'
        "                file.write(index[: len(index) // 2])\n"
        "                file.flush()\n"
        '                may_end_here("half an index in mending")\n'
        "            file.write(index + _OFFSET.pack(end) + END)\n",
    ),
    _around(WRITER, "                put_in_place(path)\n", "mended", "mended and named"),
    # whole segments go elsewhere
    _around(
        RECORDER,
        "                place.put(self._directory / str(one.name))\n",
        "before sending",
        "sent",
    ),
    Patch(
        PLACES,
        '        self._files.put_file(str(path), f"{self._root}/{path.name}")\n',
        '        if is_armed("half sent"):\n'
        "            data = path.read_bytes()\n"
        '            Path(f"{self._root}/{path.name}").write_bytes(data[: len(data) // 2])\n'
        '            may_end_here("half sent")\n'
        '        self._files.put_file(str(path), f"{self._root}/{path.name}")\n',
    ),
    _around(RECORDER, "                here.remove(one.name)\n", "before removing", "removed"),
    # the oldest are cut
    Patch(
        RECORDER,
        "        going = self._too_much(kept)\n",
        "        days = self._keep_days\n"
        '        self._keep_days = 0 if is_armed("before cutting") or is_armed("cut") else days\n'
        "        going = self._too_much(kept)\n"
        "        self._keep_days = days\n",
    ),
    _around(RECORDER, "            place.remove(name)\n", "before cutting", "cut"),
)


def recorder_tree(directory: Path, orders: Path, *more: Patch) -> Path:
    """Make the tree in ``directory``; its processes look for orders in ``orders``."""
    for name in ("armed", "ended"):
        (orders / name).mkdir(parents=True)
    tree = patched_tree(directory, [*IMPORTS, *SOONER, *POINTS, *more])
    (tree / "recordings" / "ends_itself.py").write_text(MODULE.format(orders=str(orders)))
    return tree
