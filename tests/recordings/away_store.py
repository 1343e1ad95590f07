"""Object stores whose client raises errors of its own, as botocore does: one that is away, one that goes away."""

from __future__ import annotations

import io
from typing import Any, Final, NoReturn

import fsspec
from fsspec.spec import AbstractFileSystem

from recordings.names import SegmentName

AWAY_URL: Final = "away-in-a-test://bucket/world"
FALTERING_URL: Final = "falters-in-a-test://bucket/world"


class EndpointGone(RuntimeError):
    """What such a client raises; it says more than may be logged."""

    def __init__(self) -> None:
        super().__init__(
            'No connection to "https://key:secret@store.example/world",\nnor as key:secret@other: ' + "z" * 300
        )


class AwayStore(AbstractFileSystem):  # type: ignore[misc]  # it has no types
    """Is away from the beginning."""

    protocol = "away-in-a-test"
    cachable = False

    def _gone(self, *_: Any, **__: Any) -> NoReturn:
        raise EndpointGone

    ls = makedirs = put_file = rm_file = _open = _gone


class _Faltering(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        raise EndpointGone

    def seek(self, offset: int, whence: int = 0, /) -> int:
        raise EndpointGone


class FalteringStore(AwayStore):
    """Lists and opens a segment, and is away when it is read."""

    protocol = "falters-in-a-test"

    def ls(self, *_: Any, **__: Any) -> Any:
        return [{"name": f"bucket/world/{SegmentName(0, 1_000, 1, 0)}", "size": 10}]

    def _open(self, *_: Any, **__: Any) -> Any:
        return _Faltering()


for store in (AwayStore, FalteringStore):
    fsspec.register_implementation(store.protocol, store, clobber=True)
