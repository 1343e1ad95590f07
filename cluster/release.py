"""Which release this process is of, for those who have to tell one from another while a cluster is upgraded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any, Final

from cluster.messages import VERSION
from cluster.stored_format import FORMAT

__all__ = ["RELEASE", "CodeRelease"]

DISTRIBUTION: Final = "chunkcrawl-server"


@dataclass(frozen=True, slots=True)
class CodeRelease:
    """A release as its processes describe themselves."""

    #: Of the distribution; empty where it is not installed, and of a release that does not say.
    release: str
    #: Of messages between actors (``cluster.messages``).
    messages: int
    #: Of what the world keeps in Redis (``cluster.stored_format``).
    format: int

    def describe(self) -> dict[str, Any]:
        """Return plain values for an actor's description."""
        return asdict(self)


def release_of(described: Mapping[str, Any]) -> CodeRelease:
    """Return the release of an actor by its description; the first releases say nothing of theirs."""
    return CodeRelease(described.get("release", ""), described.get("messages", 0), described.get("format", 1))


def _ours() -> CodeRelease:
    try:
        version = metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        version = ""
    return CodeRelease(version, VERSION, FORMAT)


RELEASE: Final = _ours()
