"""One generator: hundreds of agents and spectators in one event loop, and a report every second.

``generate`` runs it to its end.  It knows nothing of Ray: where its samples go is a ``MailboxApi``.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from chunkcrawl.errors import ChunkcrawlError
from chunkcrawl.transport.http import Api
from config.errors import OperatorError
from loadtest.group import AgentGroup
from loadtest.mailbox import MailboxApi, Orders
from loadtest.measures import Measures, Phase, Sample
from loadtest.plan import Plan, Share
from loadtest.player import SimulatedAgent
from loadtest.self_watch import SelfWatch
from loadtest.spectator import SimulatedSpectator

__all__ = ["GeneratorDefect", "generate"]

SAMPLE_S: Final = 1.0
LEAVE_TIMEOUT_S: Final = 5.0
#: How long those who are not in yet are waited for, after the ramp and after the last that got in.
JOIN_WAIT_S: Final = 60.0

MIXED_SEED: Final = 1_000_003


class GeneratorDefect(OperatorError, RuntimeError):
    """A fault in the generator, not in the server: what it measured is worth nothing."""

    reason = "generator_defect"


@dataclass(frozen=True, slots=True)
class LoadAccount:
    """The account that the agents belong to; ``token`` and ``key_id`` are empty for a key that was given."""

    api_key: str
    token: str = ""
    key_id: str = ""


async def generate(plan: Plan, share: Share, mailbox: MailboxApi) -> None:
    """Play this share of the plan until the orders say to leave.

    Raises:
        ChunkcrawlError: There is no account to be had.
        GeneratorDefect: See there.
    """
    async with Api(plan.base, direct=True) as api:
        account = await _account(api, plan, share)
        try:
            await mailbox.begin(share.task)
            await Generator(AgentGroup(plan, api, account.api_key), share, mailbox).run()
        finally:
            if account.key_id:
                # Ends all its sessions at once; they would end by themselves.
                with contextlib.suppress(ChunkcrawlError, TimeoutError):
                    await asyncio.wait_for(api.revoke_key(account.key_id, auth=account.token), LEAVE_TIMEOUT_S)


async def _account(api: Api, plan: Plan, share: Share) -> LoadAccount:
    if plan.api_key is not None:
        return LoadAccount(plan.api_key)
    person = (f"load-{plan.run_id}-{share.task}@example.com", secrets.token_urlsafe(24))
    account = await api.signup(*person)
    key = await api.create_key(account.account_id, auth=account.account_token or person, label="load test")
    return LoadAccount(key.api_key, account.account_token, key.key_id)


class Generator:
    """The agents and spectators of one share, and the report of each second."""

    def __init__(self, group: AgentGroup, share: Share, mailbox: MailboxApi) -> None:
        self._group, self._share, self._mailbox = group, share, mailbox
        self._rng = random.Random(group.plan.seed * MIXED_SEED + share.task)
        self._players: list[SimulatedAgent] = []
        self._spectators: list[SimulatedSpectator] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._watch = SelfWatch(group.measures.times["lag"])
        self._phase: Phase = "ramp"
        self._began_at = self._sampled_at = self._drain_until = 0.0

    async def run(self) -> None:
        """Play until the orders say to leave."""
        self._began_at = self._sampled_at = time.perf_counter()
        self._ramping = asyncio.get_running_loop().create_task(self._ramp())
        self._watch.start()
        try:
            second = 0
            while True:
                await asyncio.sleep(max(0.0, self._began_at + (second + 1) * SAMPLE_S - time.perf_counter()))
                self._sweep()
                orders = await self._mailbox.report(self._sample(second))
                if self._group.defect is not None:
                    raise GeneratorDefect(repr(self._group.defect)) from self._group.defect
                # The second that has begun meanwhile.
                second = max(second + 1, int((time.perf_counter() - self._began_at) / SAMPLE_S))
                self._obey(orders, second)
                if orders.leave:
                    return
        finally:
            self._watch.stop()
            self._ramping.cancel()
            await self._leave()

    # -- joining and leaving --

    async def _ramp(self) -> None:
        """Start everybody, agents first, since spectators go where agents are."""
        share = self._share
        agents = range(share.first_agent, share.first_agent + share.agents)
        makers: list[Callable[[], SimulatedAgent | SimulatedSpectator]] = [
            partial(self._player, number) for number in agents
        ]
        makers += [partial(self._spectator, number) for number in range(share.spectators)]
        for count, make in enumerate(makers):
            await self._turn(count)
            task = asyncio.get_running_loop().create_task(make().run())
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    async def _turn(self, number: int) -> None:
        """Wait until the ``number``-th may begin: evenly over the ramp, or as soon as one of those before it is in."""
        plan, group = self._group.plan, self._group
        if not plan.side_by_side:
            gap_s = plan.ramp_s / max(1, self._share.connections)
            await asyncio.sleep(max(0.0, self._began_at + number * gap_s - time.perf_counter()))
            return
        while number - group.joined - group.given_up >= max(1, plan.side_by_side // self._share.tasks):
            group.settled.clear()
            await group.settled.wait()

    def _player(self, number: int) -> SimulatedAgent:
        # By its number, so that an agent decides alike in however many tasks the run is.
        rng = random.Random(self._group.plan.seed * MIXED_SEED + number)
        self._players.append(SimulatedAgent(self._group, number, rng))
        return self._players[-1]

    def _spectator(self, number: int) -> SimulatedSpectator:
        self._spectators.append(SimulatedSpectator(self._group, number, random.Random(self._rng.random())))
        return self._spectators[-1]

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._group.fail(error)

    async def _leave(self) -> None:
        self._group.open = self._group.going = False
        for one in self._everybody:
            one.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LEAVE_TIMEOUT_S)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- once a second --

    def _sweep(self) -> None:
        now = time.perf_counter()
        for one in self._everybody:
            one.sweep(now)

    @property
    def _everybody(self) -> list[SimulatedAgent | SimulatedSpectator]:
        return [*self._players, *self._spectators]

    @property
    def _running(self) -> int:
        return sum(len(player.commands.pending) for player in self._players)

    def _sample(self, second: int) -> Sample:
        group, now = self._group, time.perf_counter()
        sample = Sample(self._share.task, second, now - self._sampled_at, self._phase, group.measures)
        sample.agents, sample.spectators, sample.running = group.agents, group.spectators, self._running
        sample.proof_s = group.proof_s
        sample.joined_s = max(0.0, group.joined_at - self._began_at)
        self._watch.fill(sample)
        group.measures, group.proof_s, self._sampled_at = Measures(), 0.0, now
        self._watch.into = group.measures.times["lag"]
        return sample

    def _obey(self, orders: Orders, second: int) -> None:
        now = time.perf_counter()
        if self._phase == "ramp" and self._all_in(now):
            self._phase = "ready"
            # What there is now stays; collections of it would be pauses in what is measured.
            gc.collect()
            gc.freeze()
        if orders.stop_at is not None and second >= orders.stop_at and self._phase in ("ramp", "ready"):
            self._ramping.cancel()
            self._group.going = False
            self._phase, self._drain_until = "drain", now + self._group.plan.drain_s
        if self._phase == "drain" and (self._running == 0 or now > self._drain_until):
            self._phase = "drained"

    def _all_in(self, now: float) -> bool:
        """Return whether everybody has joined or given up, or waiting any longer is of no use."""
        if self._group.joined + self._group.given_up >= self._share.connections:
            return True
        return now > max(self._began_at + self._group.plan.ramp_s, self._group.joined_at) + JOIN_WAIT_S
