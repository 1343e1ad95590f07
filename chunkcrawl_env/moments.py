"""Beginning with a moment of a live world: its file, and whom learners play there."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from world.ids import AgentId
from world.key_frame import BadKeyFrame
from world.moment import Moment

#: The file in a fork's directory.
FORK_FILE: Final = "fork.json.gz"


def read_moment(place: Path | str) -> Moment:
    """Return the moment in a directory that ``chunkcrawl fork`` has made, or in its file.

    Raises:
        ValueError: there is none, or it is of another release (the message says which).
    """
    path = Path(place)
    path = path / FORK_FILE if path.is_dir() else path
    try:
        return Moment.from_json(json.loads(gzip.decompress(path.read_bytes())))
    except (OSError, EOFError, ValueError) as error:  # BadKeyFrame and JSON errors among them
        raise ValueError(f"begin_from: {path} can't be read: {error}") from None


def learners_in(moment: Moment, wanted: Sequence[str], count: int) -> list[str]:
    """Return the ids of ``count`` learners: those wanted, else those who stand there, by id, then new ones.

    Raises:
        ValueError: one that is wanted does not stand there, there are more than ``count``, or the moment is damaged.
    """
    try:
        world = moment.world(quiet=True)
    except BadKeyFrame as error:
        raise ValueError(f"begin_from: {error}") from None
    unknown = [one for one in wanted if world.chunk_of(AgentId(one)) is None]
    if unknown:
        raise ValueError(f"plays: {', '.join(unknown)} did not stand there at tick {moment.tick}")
    if len(wanted) > count or len(set(wanted)) < len(wanted):
        raise ValueError(f"plays must name agents once, and {count} at most (agents)")
    standing = sorted(world.agent_ids)
    names = list(wanted) or [str(one) for one in standing[:count]]
    new = (name for number in range(count + len(standing)) if (name := f"agent_{number}") not in world.agent_ids)
    return [*names, *(next(new) for _ in range(count - len(names)))]
