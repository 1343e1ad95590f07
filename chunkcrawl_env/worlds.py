"""Several worlds that are stepped together: actions become commands, what happens becomes rewards and arrays.

All environments are thin coats around ``Worlds``; nothing here needs gymnasium or PettingZoo.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from chunkcrawl_env.actions import ActionCodes
from chunkcrawl_env.company import Company
from chunkcrawl_env.config import EnvConfig
from chunkcrawl_env.moments import learners_in
from chunkcrawl_env.observations import ACTIVITIES, observe, sight_of
from chunkcrawl_env.one_world import OneWorld
from chunkcrawl_env.planes import Planes
from chunkcrawl_env.sites import ChunkSites
from world.actors import Actor
from world.chunk import Chunk
from world.commands.harvest import Harvesting
from world.dice import Dice
from world.ids import AgentId, ChunkId, ServerCmdId
from world.inputs import Submit
from world.outputs import Output

#: Seeds that are drawn stay below it.
SEEDS: Final = 2**31

_NONE: Final = np.zeros(0, dtype=np.intp)
_ACTIVITY: Final = {activity: number for number, activity in enumerate(ACTIVITIES)}


def agent_name(number: int) -> str:
    """Return the id of a learning agent in a new world; the same in every world."""
    return f"agent_{number}"


@dataclass
class _Played:
    """A world that is being played."""

    world: OneWorld
    company: Company
    learners: list[Actor] = field(default_factory=list)
    scripted: list[Actor] = field(default_factory=list)
    sites: dict[ChunkId, ChunkSites] = field(default_factory=dict)
    file: IO[str] | None = None

    @property
    def chunks(self) -> dict[ChunkId, Chunk]:
        return self.world.shard.state.chunks


class Worlds:
    """``count`` worlds with ``config.agents`` learning agents each.

    Arrays are ordered by world, then by agent: agent ``k`` of world ``w`` is at ``w * config.agents + k``.
    """

    def __init__(self, config: EnvConfig, count: int = 1) -> None:
        self.config = config
        self.count = count
        moment = config.moment
        self.names = (
            [agent_name(number) for number in range(config.agents)]
            if moment is None
            else learners_in(moment, config.plays, config.agents)
        )
        self.codes = ActionCodes(config)
        self.sight = sight_of(config)
        self._planes = Planes(config.radius, ways=config.observation == "features")
        self._played: list[_Played | None] = [None] * count
        self._seeds: list[Dice | None] = [None] * count
        self._episodes = 0
        self._number = {name: number for number, name in enumerate(self.names)}
        #: Present rows and cells of the learners.
        self._rows = np.zeros(count * config.agents, dtype=np.intp)
        self._cells = np.zeros(count * config.agents, dtype=np.intp)

    # -- episodes --

    def seed(self, world: int, seed: int) -> None:
        """Let a world's next episode be that of ``seed``; those after it follow from it."""
        self._seeds[world] = _Given(seed)

    def reset(self, worlds: Iterable[int] | None = None) -> None:
        """Begin new episodes: of all worlds, or of these.  A world that was never given a seed draws one."""
        for number in range(self.count) if worlds is None else worlds:
            seeds = self._seeds[number]
            if seeds is None:
                seeds = self._seeds[number] = _Given(int(np.random.SeedSequence().generate_state(1)[0]) % SEEDS)
            self._begin(number, seeds.below(SEEDS))
        self._look(creatures=True)

    def _begin(self, number: int, seed: int) -> None:
        self._end(number)
        config = self.config
        file = self._recording(number)
        world = OneWorld(
            seed,
            config.rules,
            chunks=config.chunks,
            chunks_max=config.chunks_max,
            heard=config.heard,
            sink=None if file is None else lambda line: file.write(line + "\n"),
            moment=config.moment,
        )
        self._episodes += 1
        played = _Played(world, Company(seed), file=file)
        self._played[number] = played
        homes = world.shard.chunk_ids if config.spawn == "spread" else world.shard.chunk_ids[:1]
        names = [*self.names, *(f"company_{k}" for k in range(config.company))]
        for k, name in enumerate(names):
            world.join(name, homes[k % len(homes)])
        if config.moment is None:
            world.step()
        actors = [world.shard.state.agents[AgentId(name)] for name in names]
        played.learners, played.scripted = actors[: config.agents], actors[config.agents :]
        self._meet_chunks(played)

    def _recording(self, number: int) -> IO[str] | None:
        if self.config.record_dir is None:
            return None
        directory = Path(self.config.record_dir)
        directory.mkdir(parents=True, exist_ok=True)
        return (directory / f"world-{number}-{self._episodes}.jsonl").open("w", encoding="utf-8")

    def _end(self, number: int) -> None:
        played = self._played[number]
        if played is None:
            return
        for sites in played.sites.values():
            self._planes.remove(sites.row)
        played.world.close()
        if played.file is not None:
            played.file.close()
        self._played[number] = None

    def close(self) -> None:
        """End all worlds, and their recordings."""
        for number in range(self.count):
            self._end(number)

    # -- a step --

    def step(self, actions: Sequence[int]) -> NDArray[np.float32]:
        """Give the actions, one for each learner, to the worlds and move them; return the learners' rewards."""
        size = self.config.agents
        rewards = np.zeros(self.count * size, dtype=np.float32)
        moved = False
        for number in range(self.count):
            played = self._world(number)
            own = rewards[number * size : (number + 1) * size]
            self._act(played, actions[number * size : (number + 1) * size])
            for _ in range(self.config.ticks_per_step):
                self._play_company(played)
                outputs = played.world.step()
                moved = self._happened(played, outputs, own) or moved
        self._look(creatures=moved)
        return rewards

    def _world(self, number: int) -> _Played:
        played = self._played[number]
        if played is None:
            raise RuntimeError("call reset() before step()")
        return played

    def _act(self, played: _Played, actions: Sequence[int]) -> None:
        """Submit what the learners do, in their order."""
        shard, codes, wait, dig = played.world.shard, self.codes, self.codes.wait, self.codes.dig
        cmd_id = ServerCmdId(f"t{shard.tick}")
        for actor, action in zip(played.learners, actions, strict=True):
            running = actor.running
            if action == wait or (running is not None and type(running) is not Harvesting):
                continue
            cmd = codes.command(action, actor.cell) if action != dig else self._dig(played, actor)
            if cmd is not None:
                shard.apply(Submit(actor.id, cmd_id, cmd_id, cmd, cmd_id))

    def _dig(self, played: _Played, actor: Actor) -> dict[str, Any] | None:
        node = played.sites[actor.chunk_id].node_at(actor.cell)
        running = actor.running
        if node is None or (isinstance(running, Harvesting) and running.node.state == "available"):
            return None
        return {"type": "harvest", "node_id": node.id}

    def _play_company(self, played: _Played) -> None:
        shard = played.world.shard
        for actor in played.scripted:
            if actor.running is None:
                cmd = played.company.command(actor, played.sites[actor.chunk_id], shard.tick)
                if cmd is not None:
                    played.world.submit(actor.id, f"t{shard.tick}", cmd)

    def _happened(self, played: _Played, outputs: Sequence[Output], rewards: NDArray[np.float32]) -> bool:
        """Take in what came of a tick; returns whether creatures may have moved, or chunks changed."""
        reward, number_of = self.config.reward, self._number
        anew = False
        for output in outputs:
            for delta in output.deltas:
                for event in delta.payload["events"]:
                    if event["type"].startswith("resource"):
                        self._show_gold(played, delta.chunk_id)
                    for agent_id, value in reward(event):
                        if (number := number_of.get(agent_id)) is not None:
                            rewards[number] += value
            if self.config.private_events:
                self._told(output, rewards)
            anew = anew or bool(output.statics or output.closed)
        if anew:
            self._meet_chunks(played)
        shard = played.world.shard
        return anew or shard.tick % self.config.rules.npc_step_ticks == 0

    def _told(self, output: Output, rewards: NDArray[np.float32]) -> None:
        for told in output.private:
            event = {**told.payload, "type": told.kind, "agent_id": told.agent_id}
            for agent_id, value in self.config.reward(event):
                if (number := self._number.get(AgentId(agent_id))) is not None:
                    rewards[number] += value

    # -- keeping the arrays --

    def _meet_chunks(self, played: _Played) -> None:
        """Take in chunks that are new, let go those that are gone."""
        chunks = played.chunks
        for chunk_id in [one for one in played.sites if one not in chunks]:
            self._planes.remove(played.sites.pop(chunk_id).row)
        for chunk_id, chunk in chunks.items():
            if chunk_id not in played.sites:
                row = self._planes.add(chunk.terrain.floor, [node.cell for node in chunk.nodes.values()])
                played.sites[chunk_id] = ChunkSites(chunk, row)
                self._show_gold(played, chunk_id)

    def _show_gold(self, played: _Played, chunk_id: ChunkId) -> None:
        sites = played.sites.get(chunk_id)
        if sites is not None:
            for number, node in enumerate(sites.chunk.nodes.values()):
                self._planes.set_gold(sites.row, number, node.remaining if node.state == "available" else 0)

    def _look(self, creatures: bool) -> None:
        """Bring the arrays up to date with where everybody is."""
        learners_rows: list[int] = []
        learners_cells: list[int] = []
        rows: list[int] = []
        cells: list[int] = []
        for played in self._played:
            if played is not None:
                sites = played.sites
                learners_rows += [sites[actor.chunk_id].row for actor in played.learners]
                learners_cells += [actor.cell for actor in played.learners]
                rows += [sites[actor.chunk_id].row for actor in played.scripted]
                cells += [actor.cell for actor in played.scripted]
        self._rows = np.array(learners_rows, dtype=np.intp)
        self._cells = np.array(learners_cells, dtype=np.intp)
        if rows:
            self._planes.set_agents(_both(self._rows, rows), _both(self._cells, cells))
        else:
            self._planes.set_agents(self._rows, self._cells)
        if creatures:
            self._look_for_creatures()

    def _look_for_creatures(self) -> None:
        found = [
            (sites.row, npc.cell)
            for played in self._played
            if played is not None
            for sites in played.sites.values()
            for npc in sites.chunk.npcs
        ]
        places = np.array(found, dtype=np.intp).reshape(-1, 2)
        self._planes.set_creatures(places[:, 0], places[:, 1])

    # -- looking --

    def observe(self) -> NDArray[Any]:
        """Return what all learners see, one behind the other."""
        activities = self._activities() if self.config.observation == "features" else _NONE
        return observe(self.config, self._planes, self._rows, self._cells, activities)

    def chunks(self) -> NDArray[np.uint8]:
        """Return the chunks in which the learners stand, one for each; shape (learners, 50, 50, 6)."""
        return self._planes.chunks(self._rows, self._cells)[..., :-1]

    def masks(self) -> NDArray[np.int8]:
        """Return what all learners can do, one behind the other; shape (learners, actions)."""
        return self.codes.masks(self._planes, self._rows, self._cells, self._activities() == _ACTIVITY["moving"])

    def _activities(self) -> NDArray[np.intp]:
        return np.array([_ACTIVITY[actor.state] for actor in self._learners()], dtype=np.intp)

    def _learners(self) -> list[Actor]:
        return [actor for number in range(self.count) for actor in self._world(number).learners]

    def gold(self) -> NDArray[np.int64]:
        """Return what each learner owns."""
        return np.array([actor.gold for actor in self._learners()], dtype=np.int64)

    def world(self, number: int = 0) -> OneWorld:
        """Return a world as it is now.

        Raises:
            RuntimeError: it has not begun.
        """
        return self._world(number).world

    def first_chunk(self, number: int = 0) -> Chunk:
        """Return the chunk in which a world's first learner stands."""
        played = self._world(number)
        return played.chunks[played.learners[0].chunk_id]

    def state_digest(self, number: int = 0) -> str:
        """Return the digest of a world's state, to compare with a live shard's or a replay's."""
        return self.world(number).state_digest()


class _Given(Dice):
    """A stream of seeds that begins with one given: the rest follows from it."""

    __slots__ = ("_first",)

    def __init__(self, seed: int) -> None:
        super().__init__("episodes", seed)
        self._first: int | None = seed

    def below(self, bound: int) -> int:
        """Return the seed given, then drawn ones."""
        first, self._first = self._first, None
        return super().below(bound) if first is None else first


def _both(learners: NDArray[np.intp], others: list[int]) -> NDArray[np.intp]:
    return np.concatenate([learners, np.array(others, dtype=np.intp)])
