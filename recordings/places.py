"""Where finished segments lie: a directory, or whatever fsspec has a URL for (``s3://bucket/world``)."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol, cast

from config.errors import OperatorError
from recordings.names import SegmentName, read_name


class NoSuchPlace(OperatorError):
    """What was named as a place of recordings is none; the message is a line with the remedy."""

    reason = "no_such_place"


@dataclass(frozen=True, slots=True)
class Kept:
    """A segment that lies there."""

    name: SegmentName
    size: int


class OpensSegments(Protocol):
    """Where segments can be read.  Methods raise ``OSError`` when it is away."""

    def segments(self) -> list[Kept]:
        """Return all segments by shard and time."""
        ...

    def open(self, name: SegmentName) -> contextlib.AbstractContextManager[BinaryIO]:
        """Return a segment's file, to be read at any offset."""
        ...


class SegmentPlace(OpensSegments, Protocol):
    """Segments under their names.  Methods raise ``OSError`` when it is away."""

    def put(self, path: Path) -> None:
        """Copy a finished segment there; under its name it is whole or not there."""
        ...

    def remove(self, name: SegmentName) -> None:
        """Take a segment away; it may be gone already."""
        ...


class Directory:
    """A directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def segments(self) -> list[Kept]:
        """See ``SegmentPlace``."""
        found = []
        for path in self.path.iterdir():
            name = read_name(path.name)
            if name is not None:
                with contextlib.suppress(FileNotFoundError):  # renamed or removed since
                    found.append(Kept(name, path.stat().st_size))
        return sorted(found, key=lambda one: one.name)

    @contextlib.contextmanager
    def open(self, name: SegmentName) -> Iterator[BinaryIO]:
        """See ``SegmentPlace``; one that was finished since it was listed is opened under its final name."""
        path = self.path / str(name)
        if not name.finished and not path.exists():
            path = self.path / str(SegmentName(name.shard, name.began_ms, name.epoch, name.first))
        with path.open("rb") as file:
            yield file

    def put(self, path: Path) -> None:
        """See ``SegmentPlace``."""
        if path.parent.resolve() != self.path.resolve():
            shutil.copyfile(path, self.path / (path.name + ".copy"))
            (self.path / (path.name + ".copy")).rename(self.path / path.name)

    def remove(self, name: SegmentName) -> None:
        """See ``SegmentPlace``."""
        (self.path / str(name)).unlink(missing_ok=True)


#: How much of a foreign error's message is told.
MESSAGE_MOST: Final = 200


@contextlib.contextmanager
def _as_os_error() -> Iterator[None]:
    """Turn what a store's client raises of its own (botocore's errors are none of Python's) into ``OSError``."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        # A URL may hold a key or a password, and so may what stands before a host; the cause says them too.
        words = ("..." if "://" in word or "@" in word else word for word in str(error).split())
        raise OSError(f"{type(error).__name__}: {' '.join(words)[:MESSAGE_MOST]}") from None


class _RemoteFile:
    """What a reader needs of a file that lies elsewhere; away is ``OSError``."""

    def __init__(self, file: Any) -> None:
        self._file = file

    @_as_os_error()
    def read(self, size: int = -1) -> bytes:
        return cast("bytes", self._file.read(size))

    @_as_os_error()
    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return cast("int", self._file.seek(offset, whence))

    @_as_os_error()
    def tell(self) -> int:
        return cast("int", self._file.tell())

    @_as_os_error()
    def close(self) -> None:
        self._file.close()


class Remote:
    """A URL of fsspec's.  Its blocking calls are for a thread."""

    def __init__(self, url: str) -> None:
        try:
            import fsspec  # an extra
        except ImportError:
            raise NoSuchPlace(f"{_scheme(url)} needs fsspec: pip install 'chunkcrawl-server[object-stores]'") from None
        try:
            self._files, self._root = fsspec.core.url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise NoSuchPlace(f"{_scheme(url)} can't be used: {error}") from None

    @_as_os_error()
    def segments(self) -> list[Kept]:
        """See ``SegmentPlace``."""
        with contextlib.suppress(FileNotFoundError):
            listed: list[dict[str, Any]] = self._files.ls(self._root, detail=True, refresh=True)
            found = [(read_name(one["name"].rpartition("/")[2]), int(one["size"] or 0)) for one in listed]
            return sorted((Kept(name, size) for name, size in found if name is not None), key=lambda one: one.name)
        return []

    @contextlib.contextmanager
    def open(self, name: SegmentName) -> Iterator[BinaryIO]:
        """See ``SegmentPlace``."""
        with _as_os_error():
            file = _RemoteFile(self._files.open(f"{self._root}/{name}", "rb"))
        with contextlib.closing(file):  # errors of whoever reads it stay as they are
            yield cast("BinaryIO", file)

    @_as_os_error()
    def put(self, path: Path) -> None:
        """See ``SegmentPlace``: object stores show a file once it is whole."""
        self._files.makedirs(self._root, exist_ok=True)
        self._files.put_file(str(path), f"{self._root}/{path.name}")

    @_as_os_error()
    def remove(self, name: SegmentName) -> None:
        """See ``SegmentPlace``."""
        with contextlib.suppress(FileNotFoundError):
            self._files.rm_file(f"{self._root}/{name}")


class Several:
    """Several places that are read as one; a segment that lies in more than one is read from the first of them."""

    def __init__(self, places: Sequence[SegmentPlace]) -> None:
        self._places = places

    def segments(self) -> list[Kept]:
        """See ``SegmentPlace``; a segment under way counts only while it is nowhere finished."""
        found: dict[tuple[int, int, int, int], Kept] = {}
        for place in self._places:
            for kept in place.segments():
                name = kept.name
                same = (name.shard, name.began_ms, name.epoch, name.first)
                if same not in found or (name.finished and not found[same].name.finished):
                    found[same] = kept
        return sorted(found.values(), key=lambda one: one.name)

    @contextlib.contextmanager
    def open(self, name: SegmentName) -> Iterator[BinaryIO]:
        """See ``SegmentPlace``.  Raises ``FileNotFoundError``: it is in none of them."""
        with contextlib.ExitStack() as stack:
            for place in self._places:
                with contextlib.suppress(FileNotFoundError):
                    file = stack.enter_context(place.open(name))
                    break
            else:
                raise FileNotFoundError(str(name))
            yield file


def _scheme(url: str) -> str:
    """Return a URL's beginning: the rest may hold secrets."""
    return url.partition("://")[0] + "://"


def place_of(where: str) -> SegmentPlace:
    """Return the place that a directory's path or a URL names.

    Raises:
        NoSuchPlace: there is none; the line names the remedy.
    """
    if "://" in where:
        return Remote(where)
    path = Path(where)
    if not path.is_dir():
        raise NoSuchPlace(f"{where} is no directory: give the one that holds the recordings (shard-*.ccrec)")
    return Directory(path)
