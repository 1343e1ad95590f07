"""A process says of which release it is, and those who don't are of an old one."""

from __future__ import annotations

from cluster.messages import VERSION
from cluster.release import RELEASE, release_of
from cluster.stored_format import FORMAT


def test_what_a_process_says_is_understood() -> None:
    assert release_of({"pid": 1, **RELEASE.describe()}) == RELEASE
    assert (RELEASE.messages, RELEASE.format) == (VERSION, FORMAT)


def test_one_that_says_nothing_is_another_release() -> None:
    assert release_of({"pid": 1}) != RELEASE
    assert release_of({"pid": 1}).format == 1
