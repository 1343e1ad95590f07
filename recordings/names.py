"""Names of segments: by them alone readers find what they want and old ones are told from new ones."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

FINISHED: Final = ".ccrec"
#: Of a segment that is being written; renamed when it is whole.
UNDER_WAY: Final = ".part"
#: Of one that can't be used: kept for whoever wants to look.
SPOILT: Final = ".spoilt"

_NAME: Final = re.compile(r"shard-(\d{1,4})-(\d{1,16})-(\d{1,12})-(\d{1,12})(\.ccrec|\.part)", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class SegmentName:
    """Shard, Unix time of the first entry (ms), epoch, number of the first entry: in this order they were written."""

    shard: int
    began_ms: int
    epoch: int
    first: int
    finished: bool = True

    def __str__(self) -> str:
        suffix = FINISHED if self.finished else UNDER_WAY
        return f"shard-{self.shard:03d}-{self.began_ms:013d}-{self.epoch}-{self.first}{suffix}"


def read_name(name: str) -> SegmentName | None:
    """Return what a file's name says; None for files of others."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    shard, began_ms, epoch, first = (int(found[n]) for n in (1, 2, 3, 4))
    return SegmentName(shard, began_ms, epoch, first, found[5] == FINISHED)
