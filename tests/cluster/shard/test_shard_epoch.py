"""An epoch ends once, with the first error; it takes no new work while it stops or its journal stands still."""

from __future__ import annotations

import asyncio
import time

import pytest

from cluster.peers import ShardUnavailable
from cluster.shard.shard_epoch import ShardEpoch
from tests.cluster.shard.parts import KeptJournal


@pytest.fixture
async def journal() -> KeptJournal:
    return KeptJournal()


@pytest.fixture
async def epoch(journal: KeptJournal) -> ShardEpoch:
    return ShardEpoch(7, journal.as_journal, refuse_after_stall_s=1.0)


async def test_it_is_open_while_the_journal_moves(epoch: ShardEpoch, journal: KeptJournal) -> None:
    epoch.check_open()
    journal.stalled_since = time.monotonic()  # not for long yet
    epoch.check_open()


async def test_a_journal_that_stands_still_closes_it_and_does_not_end_it(
    epoch: ShardEpoch, journal: KeptJournal
) -> None:
    journal.stalled_since = time.monotonic() - 1.5
    with pytest.raises(ShardUnavailable, match="waits for Redis"):
        epoch.check_open()
    epoch.check_alive()
    journal.stalled_since = None
    epoch.check_open()


async def test_one_that_stops_takes_nothing_new(epoch: ShardEpoch) -> None:
    epoch.stopping = True
    with pytest.raises(ShardUnavailable, match="is stopping"):
        epoch.check_open()
    epoch.check_alive()


async def test_the_first_error_is_what_ended_it(epoch: ShardEpoch) -> None:
    assert isinstance(epoch.fail(KeyError("first")), ShardUnavailable)
    epoch.fail(ValueError("second"))
    epoch.end()
    with pytest.raises(ShardUnavailable, match="has ended"):
        epoch.check_alive()
    with pytest.raises(KeyError, match="first"):
        await epoch.ended


async def test_a_cancelled_commit_ends_it_without_an_error(epoch: ShardEpoch) -> None:
    epoch.fail(asyncio.CancelledError())
    await epoch.ended
    with pytest.raises(ShardUnavailable):
        epoch.check_open()
