"""Both ends of the calls to a shard: every call arrives as it was made, and so does its answer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

import pytest

from cluster import messages, shard_calls
from cluster.messages import (
    COMMANDS,
    OLDEST,
    VERSION,
    CellAnswer,
    CellRelease,
    CellRequest,
    ForeignVersion,
    JoinAnswer,
    JoinRequest,
    ShardCommand,
    ShardDecision,
    ShardHealth,
    pack_cmd,
)
from cluster.peers import Shard, ShardUnavailable
from cluster.shard_actor import ChunkShard
from cluster.shard_calls import ShardEndpoint, ShardProxy, Spoken
from world.ids import AgentId, ChunkId, HandoffId, ServerCmdId
from world.inputs import Occupant

P = ParamSpec("P")
T = TypeVar("T")

COMMAND = ShardCommand(AgentId("a"), ServerCmdId("cmd-1"), "c", pack_cmd({"type": "say", "text": "hi"}), "t", 5)
JOIN = JoinRequest(AgentId("a"), ChunkId("chunk-0"))
REQUEST = CellRequest(HandoffId("ho-1"), AgentId("a"), ChunkId("chunk-1"), 0, 24)
RELEASE = CellRelease(HandoffId("ho-1"), ChunkId("chunk-1"))


class Noting:
    """A ``Shard`` that notes what it is asked, and answers from a list."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.answers: list[Any] = []

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        async def note(*args: object) -> Any:
            self.asked.append((name, *args))
            return self.answers.pop(0)

        return note


class Carried(ShardEndpoint):
    """An endpoint, and what carries calls to it."""

    def __init__(self, shard: Any) -> None:
        self._shard = shard
        self.spoken = Spoken()
        self.waits: list[tuple[int, float]] = []

    async def _up(self) -> Shard:
        shard: Shard = self._shard
        return shard

    async def call(
        self,
        shard: int,
        timeout_s: float,
        method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        self.waits.append((shard, timeout_s))
        assert all(type(arg) in (bytes, str, int, list) for arg in args), "a class of ours travels"
        answer: T = await getattr(self, method.__name__)(*args, **kwargs)
        return answer


async def test_every_call_and_its_answer_arrive_as_they_were_made() -> None:
    noting = Noting()
    noting.answers = [
        [ShardDecision(True, started_tick=3)],
        [JoinAnswer("here", ChunkId("chunk-0"))],
        [CellAnswer("blocked", Occupant("b", 0, 24))],
        None,
        None,
        0.5,
        [True, False],
        ShardHealth(stalled=False, last_tick_age_s=0.1),
    ]
    expected, carried = list(noting.answers), Carried(noting)
    shard = ShardProxy(carried, 7, 2.5)
    answers = [
        await shard.submit((COMMAND,)),
        await shard.join([JOIN]),
        await shard.reserve((REQUEST,)),
        await shard.release((RELEASE,)),  # type: ignore[func-returns-value]
        await shard.refresh(("chunk-0",)),  # type: ignore[func-returns-value]
        await shard.give("chunk-0", 1),
        await shard.load(("chunk-0", "chunk-1")),
        await shard.health(),
    ]
    assert answers == expected
    assert noting.asked == [
        ("submit", [COMMAND]),
        ("join", [JOIN]),
        ("reserve", [REQUEST]),
        ("release", [RELEASE]),
        ("refresh", ["chunk-0"]),
        ("give", "chunk-0", 1),
        ("load", ["chunk-0", "chunk-1"]),
        ("health",),
    ]
    assert carried.waits == [(7, 2.5)] * 8


class Distant(Carried):
    """A shard of a distant release: what it is sent it can't read, and what it sends nobody else can."""

    async def join(self, joins: bytes) -> bytes:
        packed = await super().join(joins)
        return bytes((packed[0] + 1,)) + packed[1:]

    async def submit(self, commands: bytes) -> bytes:
        return await super().submit(bytes((commands[0] + 1,)) + commands[1:])

    async def release(self, releases: bytes) -> None:
        await super().release(bytes((releases[0] + 1,)) + releases[1:])


async def test_a_shard_of_another_release_is_unavailable_and_says_why() -> None:
    noting = Noting()
    noting.answers = [[JoinAnswer("gone")]]
    shard = ShardProxy(Distant(noting), 7, 2.5)
    for call in (shard.join([JOIN]), shard.submit([COMMAND]), shard.release([RELEASE])):
        with pytest.raises(ShardUnavailable, match=r"shard 7: .* one release after the other"):
            await call
    assert [name for name, *_ in noting.asked] == ["join"]


class ReleaseBefore(Carried):
    """A shard of the release before: it reads its own version alone, and answers in it."""

    def __init__(self, shard: Any) -> None:
        super().__init__(shard)
        self.refused = 0

    async def call(self, shard: int, timeout_s: float, method: Any, *args: Any, **kwargs: Any) -> Any:
        if args and isinstance(args[0], bytes) and args[0][0] != OLDEST:
            self.refused += 1
            raise ForeignVersion("messages of a version that is not ours")
        return await super().call(shard, timeout_s, method, *args, **kwargs)


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> None:
    """We are of the next release, with other messages."""
    for module in (messages, shard_calls):
        monkeypatch.setattr(module, "VERSION", VERSION + 1)


async def test_a_shard_of_the_release_before_is_spoken_to_in_its_version(newer: None) -> None:
    noting = Noting()
    noting.answers = [[ShardDecision(True)], [CellAnswer("reserved")], ShardHealth(False, None)]
    carried = ReleaseBefore(noting)
    assert await ShardProxy(carried, 7, 2.5).submit([COMMAND]) == [ShardDecision(True)]
    assert await ShardProxy(carried, 7, 2.5).reserve([REQUEST]) == [CellAnswer("reserved")]
    assert await ShardProxy(carried, 7, 2.5).health() == ShardHealth(False, None)
    assert [asked for asked, *_ in noting.asked] == ["submit", "reserve", "health"], "each once"
    assert carried.refused == 1, "it is tried once, and then not again for a while"


async def test_our_version_is_tried_again_after_a_while(newer: None, monkeypatch: pytest.MonkeyPatch) -> None:
    noting = Noting()
    noting.answers = [[ShardDecision(True)]] * 2
    carried = ReleaseBefore(noting)
    monkeypatch.setattr(shard_calls, "OLDER_FOR_S", 0.0)
    for _ in range(2):
        await ShardProxy(carried, 7, 2.5).submit([COMMAND])
    assert carried.refused == 2
    assert carried.spoken.version(8) == VERSION + 1, "of other shards nothing is known"


async def test_a_shard_answers_in_the_version_of_the_question(newer: None) -> None:
    noting = Noting()
    noting.answers = [[ShardDecision(True)], [ShardDecision(True)], ShardHealth(False, None)]
    shard = Carried(noting)
    for version in (OLDEST, VERSION + 1):
        assert (await shard.submit(COMMANDS.pack([COMMAND], version)))[0] == version
    assert (await shard.health())[0] == OLDEST, "nobody says in which version this is asked"


def test_both_ends_know_every_call_of_a_shard() -> None:
    calls = {name for name, _ in inspect.getmembers(Shard, inspect.isfunction) if not name.startswith("_")}
    assert len(calls) == 8
    for end in (ShardEndpoint, ShardProxy, ChunkShard):
        assert calls <= {name for name, _ in inspect.getmembers(end, inspect.iscoroutinefunction)}
