"""One channel of the hub: its readers come and go, and who waits for it waits no longer than is said."""

from __future__ import annotations

import asyncio

import pytest

from streaming.channel import Channel, HubUnavailable, Subscription
from tests.streaming.writer import delta

KEY = "stream:chunk:chunk-0"


class Hub:
    """Takes leave of subscriptions as the hub does."""

    ready_timeout_s = 0.02

    def __init__(self) -> None:
        self.emptied: list[Channel] = []

    def leave(self, channel: Channel, subscription: Subscription) -> None:
        if channel.leave(subscription):
            self.emptied.append(channel)


def joined(hub: Hub, channel: Channel) -> Subscription:
    subscription = Subscription(hub, channel, lambda item: None)
    channel.join(subscription)
    return subscription


def test_sinks_are_replaced_and_not_changed() -> None:
    """A delivery goes through the sinks that were there when it began."""
    hub, channel = Hub(), Channel(KEY, stream=True)
    first = joined(hub, channel)
    under_way = channel.sinks
    second = joined(hub, channel)
    assert under_way == (first.sink,)
    assert channel.sinks == (first.sink, second.sink)


def test_the_last_one_to_leave_is_told_once() -> None:
    hub, channel = Hub(), Channel(KEY, stream=True)
    first, second = joined(hub, channel), joined(hub, channel)
    first.close()
    first.close()
    assert (hub.emptied, channel.sinks) == ([], (second.sink,))
    second.close()
    second.close()
    assert hub.emptied == [channel]
    assert not channel.leave(second)


async def test_ready_waits_until_the_channel_is_in_force() -> None:
    channel = Channel(KEY, stream=True)
    subscription = joined(Hub(), channel)
    waiting = asyncio.create_task(subscription.ready(timeout_s=10))
    await asyncio.sleep(0)
    assert not waiting.done()
    channel.in_force.set()
    await waiting
    await subscription.ready(timeout_s=0)


async def test_ready_gives_up_after_the_hubs_time() -> None:
    subscription = joined(Hub(), Channel(KEY, stream=True))
    with pytest.raises(HubUnavailable, match=r"0\.02 s"):
        await subscription.ready()


async def test_one_that_is_closed_is_never_ready() -> None:
    channel = Channel(KEY, stream=True)
    channel.in_force.set()
    subscription = joined(Hub(), channel)
    subscription.close()
    with pytest.raises(HubUnavailable, match="closed"):
        await subscription.ready()
    assert subscription.head is None


def test_the_head_is_the_newest_entry_handed_on() -> None:
    channel = Channel(KEY, stream=True)
    subscription = joined(Hub(), channel)
    before = subscription.head
    assert channel.detector is not None
    channel.detector.started((4, 0))
    channel.detector.receive(delta("chunk-0", (5, 0), (4, 0)))
    assert (before, subscription.head) == (None, (5, 0))
    assert joined(Hub(), Channel("ctl:sessions", stream=False)).head is None


def test_a_first_subscriber_after_all_had_left_begins_anew() -> None:
    channel = Channel(KEY, stream=True)
    detector = channel.detector
    channel.started = channel.filling = True
    channel.fruitless = 3
    channel.in_force.set()
    channel.renew()
    assert (channel.started, channel.filling, channel.fruitless, channel.in_force.is_set()) == (False, False, 0, False)
    assert channel.detector is not detector
