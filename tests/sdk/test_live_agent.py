"""The SDK against the real world: Ray, PostgreSQL, Valkey and all."""

from __future__ import annotations

import asyncio
import random
import secrets
from contextlib import AsyncExitStack, aclosing

import pytest

from chunkcrawl import Agent, Api, Watcher
from chunkcrawl.bots.driver import drive
from chunkcrawl.bots.rules import GoldSeeker, Wanderer
from chunkcrawl.embedded import EmbeddedWorld
from chunkcrawl.errors import (
    Blocked,
    ChunkGone,
    Forbidden,
    Interrupted,
    InvalidCommand,
    InvalidSession,
    NodeNotFound,
    NotFound,
    OutOfBounds,
    TakenOver,
    TooFar,
    Unreachable,
)
from chunkcrawl.transport.history import read_history
from chunkcrawl.view.paths import is_boundary
from chunkcrawl.view.world_view import WorldView
from chunkcrawl.wire.messages import ChunkDelta, ChunkTransition, CommandAck, CommandResult, Direction, PrivateDelta
from tests.sdk.bad_line import BadLine

#: Part of names, since an agent belongs to the account that first played it, and the world may be an older one.
RUN = secrets.token_hex(3)

pytestmark = [pytest.mark.ray, pytest.mark.timeout(240)]


async def free_neighbour(me: Agent, far: int = 1) -> tuple[int, int]:
    """A free inner cell exactly ``far`` steps away, once there is one: agents of earlier tests stay for a while."""

    def cells(view: WorldView) -> list[tuple[int, int]]:
        return [cell for cell, n in view.reachable().items() if n == far and not is_boundary(view.grid, *cell)]

    assert await me.wait_until(lambda view: bool(cells(view)), GRACE_MAX_S)
    return cells(me.view)[0]


GRACE_MAX_S = 45.0


async def test_walking_is_seen(world: EmbeddedWorld) -> None:
    async with world.agent() as me:
        for far in (1, 5):
            target = await free_neighbour(me, far)
            completed = await me.move_to(*target)
            assert me.position == target
            assert completed.ended_tick is not None
            assert me.ack_s is not None
            assert me.ack_s < 2


async def test_targets_that_cannot_be(world: EmbeddedWorld) -> None:
    async with world.agent() as me:
        for x, y in ((50, 3), (-1, 0), (10**9, 0)):
            with pytest.raises(OutOfBounds):
                await me.move_to(x, y)
        with pytest.raises(Unreachable):
            await me.move_to(0, 0)
        await me.move_to(*await free_neighbour(me))


async def test_harvest_needs_a_node_beside_one(world: EmbeddedWorld) -> None:
    async with world.agent() as me:
        with pytest.raises(NodeNotFound):
            await me.harvest("chunk-0-node-999")
        far = max(me.gold.values(), key=lambda node: abs(node.x - 25) + abs(node.y - 25))
        with pytest.raises(TooFar):
            await me.harvest(far)
        with pytest.raises(InvalidCommand):
            await me.command({"type": "dance"})
        with pytest.raises(InvalidCommand):
            await me.command({"type": "move_to", "x": 1.5, "y": 2})


@pytest.mark.slow
async def test_gold_ends_up_in_the_inventory_and_a_move_interrupts(world: EmbeddedWorld) -> None:
    async with world.agent() as me:
        found = me.view.nearest_gold()
        assert found is not None
        node, cell = found
        await me.move_to(*cell)
        harvest = asyncio.create_task(me.harvest(node))
        assert await me.wait_until(lambda view: (view.inventory_gold or 0) >= 2, 30)
        await me.move_to(*await free_neighbour(me))
        with pytest.raises(Interrupted):
            await harvest
        assert me.gold[node.node_id].remaining < node.max_remaining


async def test_one_talks_and_another_hears(world: EmbeddedWorld) -> None:
    text = 'h\u00e9llo \U0001f600 \u2028 \x7f|"\\ &<b>'
    async with world.agent() as speaker, world.agent() as listener:
        events = listener.events()
        await speaker.say(text)
        async with asyncio.timeout(10):
            async for event in events:
                said = [one for one in getattr(event, "events", []) if one.get("type") == "chat"]
                if said:
                    break
    assert said[0]["from"] == speaker.agent_id
    assert said[0]["text"].startswith("h\u00e9llo \U0001f600")


async def test_what_it_did_is_kept(world: EmbeddedWorld) -> None:
    """The history names each command with its fields and its end; nobody else may read it."""
    async with world.agent() as me, world.agent() as other:
        start = me.position
        await me.move_to(*await free_neighbour(me))
        target = me.position
        await me.say("noted")
        async with asyncio.timeout(20):  # the archiver is a second or so behind
            while not (found := [entry async for entry in me.history(kinds=("result", "join", "chat"))]) or (
                found[0].details.get("command") != "say"
            ):
                await asyncio.sleep(0.3)
        said, talk, moved, joined = found
        assert (moved.details["command"], moved.details["status"]) == ("move_to", "completed")
        assert (moved.details["asked"]["x"], moved.details["asked"]["y"]) == target
        assert (said.details["asked"], talk.details) == ({"text": "noted"}, {"text": "noted"})
        assert (joined.details["x"], joined.details["y"]) == start
        assert [entry async for entry in me.history(limit=1, kinds=("join",))] == [joined]
        with pytest.raises(Forbidden):
            async for _ in read_history(me._api, other.agent_id, (await me._sessions.current()).session_token):
                pass


async def test_somebody_in_the_way_is_named(world: EmbeddedWorld) -> None:
    async with world.agent() as me, world.agent() as other:
        target = await free_neighbour(me, 9)
        walking = asyncio.create_task(me.move_to(*target))
        await me.wait_until(lambda view: view.me is not None and view.me.activity_state == "moving", 5)
        way = me.view.path_to(*target)
        assert way
        # Whoever stands on the target when it is told is refused as unreachable; one that comes later blocks.
        with pytest.raises((Blocked, Unreachable)):
            await asyncio.gather(other.move_to(*target), walking)
        walking.cancel()


@pytest.mark.slow
async def test_leaving_in_the_north_and_coming_back(world: EmbeddedWorld) -> None:
    async with world.agent() as me:
        home = me.chunk_id
        cells = [cell for cell in me.view.exits()["N"] if cell in me.view.reachable()]
        await me.move_to(*cells[0])
        away = me.chunk_id
        assert away != home
        assert me.position == (cells[0][0], 0)
        assert me.view.ready
        assert me.view.neighbors["S"] == home
        await me.move_to(*await free_neighbour(me, 3))
        back = [cell for cell in me.view.exits()["S"] if cell in me.view.reachable()]
        await me.move_to(*back[0])
        assert me.chunk_id == home
        assert me.view.neighbors["N"] == away


async def leave(me: Agent, side: Direction) -> str:
    """Walk out on that side; the chunk that was left."""
    left = me.chunk_id
    near = me.view.reachable()
    await me.move_to(*next(cell for cell in me.view.exits()[side] if cell in near))
    assert left
    assert me.chunk_id != left
    return left


@pytest.mark.slow
async def test_an_empty_chunk_is_gone_and_another_takes_its_place() -> None:
    with EmbeddedWorld(settings={"CHUNKCRAWL_COLLECT_IDLE_S": "3"}) as quick:
        async with quick.agent() as me:
            home = await leave(me, "N")
            away = me.chunk_id or ""
            watching = asyncio.create_task(watched_to_the_end(Watcher.chunk(quick.base, away, api_key=quick.key)))
            await me.move_to(*await free_neighbour(me, 3))
            assert await leave(me, "S") == away
            assert await me.wait_until(lambda view: view.lost_neighbors == {"N": away}, 60)
            assert me.view.neighbors["N"] is None
            async with asyncio.timeout(30):
                with pytest.raises(ChunkGone, match=away):
                    await watching
            with pytest.raises(NotFound, match="new id"):
                await watched_to_the_end(Watcher.chunk(quick.base, away, api_key=quick.key))
            assert await leave(me, "N") == home
            assert me.chunk_id != away


async def watched_to_the_end(watcher: Watcher) -> None:
    async with watcher, aclosing(watcher.events()) as events:
        async for _ in events:
            pass


@pytest.mark.slow
async def test_lost_lines_lose_and_double_nothing(world: EmbeddedWorld) -> None:
    """Cut at random moments of thirty commands; every one ends once, and the agent is where it was sent."""
    rng = random.Random(5)
    async with BadLine(world.base).running() as line:
        key = world.key
        async with Agent.connect(line.base, agent_id=f"test-bad-line-{RUN}", api_key=key, rng=QuickJitter()) as me:
            events = me.events(limit=10_000)
            for _ in range(30):
                target = await free_neighbour(me, rng.randint(1, 4))
                cutting = asyncio.get_running_loop().call_later(rng.uniform(0.0, 0.4), line.cut)
                await me.move_to(*target)
                cutting.cancel()
                assert me.position == target
            connections = me.connections
    found = [event async for event in events]
    acks = [event.server_cmd_id for event in found if isinstance(event, CommandAck) and event.accepted]
    results = [event.server_cmd_id for event in found if isinstance(event, CommandResult)]
    assert connections > 5
    assert sorted(map(str, acks)) == sorted(map(str, results))
    assert len(set(acks)) == len(acks)


class QuickJitter(random.Random):
    """Small waits, so that a test with many reconnects is short."""

    def uniform(self, a: float, b: float) -> float:
        return a + min(0.05, b - a)


async def test_the_newer_connection_takes_over(world: EmbeddedWorld) -> None:
    name = f"test-takeover-{RUN}"
    async with world.agent(name) as older:
        async with world.agent(name) as newer:
            with pytest.raises(TakenOver):
                await older.wait_until(lambda _: False, 10)
            assert newer.position == older.position
            await newer.move_to(*await free_neighbour(newer))
        with pytest.raises(TakenOver):
            await older.move_to(25, 25)


async def test_a_revoked_key_ends_its_agents(world: EmbeddedWorld) -> None:
    async with Api(world.base) as api:
        account = await api.signup(f"revoked-{random.SystemRandom().random()}@example.com", "a long password")
        key = await api.create_key(account.account_id, auth=account.account_token)
        async with Agent.connect(world.base, agent_id=f"test-{key.key_id[-6:]}", api_key=key.api_key) as me:
            await api.revoke_key(key.key_id, auth=account.account_token)
            with pytest.raises(InvalidSession):
                await me.wait_until(lambda _: False, 30)


async def test_somebody_elses_agent_is_not_for_us(world: EmbeddedWorld) -> None:
    async with world.agent(f"test-mine-{RUN}"):
        pass
    with pytest.raises(Forbidden, match="agent_not_owned"):
        async with world.agent(f"test-mine-{RUN}", api_key=world.new_key()):
            pass


@pytest.mark.slow
async def test_a_spectator_sees_each_tick_once_over_lost_lines(world: EmbeddedWorld) -> None:
    async with BadLine(world.base).running() as line, world.agent() as me:
        watcher = Watcher.chunk(line.base, "chunk-0", api_key=world.key, rng=QuickJitter())
        ticks: list[int] = []
        places: list[tuple[int, int]] = []

        async def watch() -> None:
            async with watcher, aclosing(watcher.events()) as events:
                async for event in events:
                    if isinstance(event, ChunkDelta):
                        ticks.append(event.tick)
                        places.extend((one.x, one.y) for one in event.agents if one.id == me.agent_id)

        async def caught_up(connections: int) -> None:
            async with asyncio.timeout(30):
                while watcher.connections < connections or watcher.view.tick < me.view.tick:
                    await asyncio.sleep(0.02)

        watching = asyncio.create_task(watch())
        walked: list[tuple[int, int]] = []
        await caught_up(1)
        for round_number in range(2, 5):
            line.cut()
            for _ in range(2):
                target = await free_neighbour(me, 2)
                walked += me.view.path_to(*target) or []
                await me.move_to(*target)
            await caught_up(round_number)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    assert ticks == sorted(set(ticks))
    assert set(walked) <= set(places)


@pytest.mark.slow
async def test_an_owner_follows_commands_and_chunks(world: EmbeddedWorld) -> None:
    async with BadLine(world.base).running() as line, world.agent() as me:
        watcher = Watcher.owner(line.base, me.agent_id, api_key=world.key, rng=QuickJitter())
        kinds: list[str] = []
        crossed: list[str] = []

        async def watch() -> None:
            async with watcher, aclosing(watcher.events()) as events:
                async for event in events:
                    kinds.append(event.type)
                    if isinstance(event, ChunkTransition):
                        crossed.append(event.to_chunk_id)

        watching = asyncio.create_task(watch())
        async with asyncio.timeout(20):
            while "chunk_delta" not in kinds:
                await asyncio.sleep(0.05)
        await me.move_to(*await free_neighbour(me, 3))
        cells = [cell for cell in me.view.exits()["E"] if cell in me.view.reachable()]
        walking = asyncio.create_task(me.move_to(*cells[0]))
        await asyncio.sleep(1.0)
        line.cut()
        await walking
        async with asyncio.timeout(20):
            while watcher.view.chunk_id != me.chunk_id or kinds.count("command_result") < 2:
                await asyncio.sleep(0.05)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    assert crossed == [me.chunk_id]
    assert kinds.count("command_ack") == kinds.count("command_challenge") == kinds.count("command_result") == 2
    assert watcher.connections >= 2


async def test_private_events_are_ones_own(world: EmbeddedWorld) -> None:
    async with world.agent() as me, world.agent() as other:
        mine, others = me.events(), other.events()
        await me.move_to(*await free_neighbour(me))
        await other.move_to(*await free_neighbour(other))
    private = (CommandAck, CommandResult, PrivateDelta, ChunkTransition)
    seen = [event async for event in others if isinstance(event, private)]
    assert seen
    assert all(getattr(event, "agent_id", other.agent_id) == other.agent_id for event in seen)
    ours = {event.server_cmd_id async for event in mine if isinstance(event, CommandAck)}
    assert ours.isdisjoint({event.server_cmd_id for event in seen if isinstance(event, CommandAck)})


@pytest.mark.slow
async def test_twenty_bots_play_at_once(world: EmbeddedWorld) -> None:
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(Api(world.base))
        agents = [
            await stack.enter_async_context(
                Agent.connect(world.base, agent_id=f"test-bot-{RUN}-{number}", api_key=world.key, api=api)
            )
            for number in range(20)
        ]
        events = [agent.events(limit=5_000) for agent in agents]
        bots = [GoldSeeker() if number % 4 == 0 else Wanderer() for number in range(20)]
        driving = [
            asyncio.create_task(drive(agent, bot, random.Random(number)))
            for number, (agent, bot) in enumerate(zip(agents, bots, strict=True))
        ]
        await asyncio.sleep(8)
        problems = [task.exception() for task in driving if task.done()]
        for task in driving:
            task.cancel()
        await asyncio.gather(*driving, return_exceptions=True)
        assert problems == []
        assert all(agent.connections == 1 for agent in agents)
    results = [len([one async for one in queue if isinstance(one, CommandResult)]) for queue in events]
    assert min(results) >= 1
    assert sum(results) > 40
