"""The name of a world in the URL of its Redis: ``redis://host/0?world=blue``."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, urlencode

WORLD_PARAMETER: Final = "world"
_NAME: Final = re.compile(r"[a-z0-9-]{1,32}")


def split_world(url: str) -> tuple[str, str]:
    """Split a URL into the one that redis-py understands and the name of the world in it (empty: it has none).

    Raises:
        ValueError: no name of a world.
    """
    server, _, query = url.partition("?")
    found = parse_qsl(query, keep_blank_values=True)
    names = [value for name, value in found if name == WORLD_PARAMETER]
    if not names:
        return url, ""
    if len(names) > 1 or not _NAME.fullmatch(names[0]):
        raise ValueError(f"{WORLD_PARAMETER}= is not one name of 1..32 of a-z, 0-9 and -")
    rest = urlencode([(name, value) for name, value in found if name != WORLD_PARAMETER])
    return f"{server}?{rest}" if rest else server, names[0]
