"""The soft limit of open files goes up to the hard one, as far as the system lets us."""

from __future__ import annotations

import resource

import pytest

from api.sockets.open_files import FILES_MOST, raise_open_files


class Limits:
    """Stands for the system's limits; above ``bound`` it refuses."""

    def __init__(self, soft: int, hard: int, bound: int = FILES_MOST) -> None:
        self.now = (soft, hard)
        self._bound = bound

    def get(self, which: int) -> tuple[int, int]:
        assert which == resource.RLIMIT_NOFILE
        return self.now

    def set(self, which: int, wanted: tuple[int, int]) -> None:
        if wanted[0] > self._bound:
            raise ValueError("current limit exceeds maximum limit")
        self.now = wanted


@pytest.mark.parametrize(
    ("limits", "in_force"),
    [
        (Limits(1_024, 4_096), 4_096),
        (Limits(4_096, 4_096), 4_096),
        (Limits(256, resource.RLIM_INFINITY), FILES_MOST),
        (Limits(256, resource.RLIM_INFINITY, bound=10_240), 256),
        (Limits(resource.RLIM_INFINITY, resource.RLIM_INFINITY), FILES_MOST),
    ],
    ids=["raised", "as it is", "no bound", "a bound that is not told", "none at all"],
)
def test_the_limit_in_force(limits: Limits, in_force: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", limits.get)
    monkeypatch.setattr(resource, "setrlimit", limits.set)
    assert raise_open_files() == in_force
