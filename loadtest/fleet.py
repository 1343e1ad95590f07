"""The one place where load testing meets Ray: a cluster of its own or a running one, generators as tasks.

A running cluster is joined only when it is named: a bare ``ray.init()`` could find somebody else's.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import time
from collections.abc import Callable
from typing import Any, Final

import ray
from ray.exceptions import RayError

from cluster.ray_directory import RunDirectory
from cluster.ray_start import join_ray, leave_ray
from config.errors import OperatorError
from loadtest.generator import generate
from loadtest.measures import Sample
from loadtest.plan import Plan, Share, shares, tasks_for
from loadtest.switchboard import Orders, Switchboard

__all__ = ["Fleet", "FleetError"]

NAMESPACE: Final = "chunkcrawl-load"
BEGIN_TIMEOUT_S: Final = 120.0
CALL_TIMEOUT_S: Final = 15.0
CPU_STEP: Final = 0.01


class FleetError(OperatorError, RuntimeError):
    """Generators could not be started, or all of them failed."""

    reason = "fleet_failed"


class RemoteSwitchboard:
    """``SwitchboardApi`` over the switchboard's actor."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    async def begin(self, task: int) -> None:
        """See ``SwitchboardApi``."""
        await self._handle.begin.remote(task)

    async def report(self, sample: Sample) -> Orders:
        """See ``SwitchboardApi``."""
        async with asyncio.timeout(CALL_TIMEOUT_S):
            orders: Orders = await self._handle.report.remote(sample)
        return orders


def run_generator(plan: Plan, share: Share, switchboard: Any) -> None:
    """Run a generator to its end, as the body of a Ray task.  See ``generate`` for what it raises."""
    _allow_many_sockets()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(generate(plan, share, RemoteSwitchboard(switchboard)))


class Fleet:
    """Generators that run.  Make it with ``Fleet.start``, and ``stop`` it in any case."""

    def __init__(
        self, plan: Plan, tasks: int, switchboard: Any, refs: list[Any], directory: RunDirectory | None
    ) -> None:
        #: How many generators there are.
        self.tasks = tasks
        #: Whether Ray was started for this run alone.
        self.own_cluster = directory is not None
        self._switchboard, self._directory = switchboard, directory
        self._started_at = time.monotonic()
        self._ends = [asyncio.ensure_future(_awaited(ref)) for ref in refs]

    @classmethod
    def start(cls, plan: Plan, *, tasks: int | None, address: str | None) -> Fleet:
        """Start Ray, or join the cluster at ``address``, and the generators in it.

        Blocks for some seconds, in the thread that Ray's processes are to belong to; needs a running event loop.

        Args:
            tasks: How many generators; None for as many as the connections want and the processors allow.

        Raises:
            ConnectionError: The cluster at ``address`` can't be joined.
        """
        directory = join_ray(address, NAMESPACE, num_cpus=None if address else max(os.cpu_count() or 1, tasks or 0))
        try:
            cpus = _processors(ray.cluster_resources)
            count = tasks or tasks_for(plan.agents + plan.spectators, cpus)
            actor: Any = ray.remote(Switchboard).options(num_cpus=0)
            switchboard = actor.remote(count)
            task: Any = ray.remote(run_generator).options(
                num_cpus=_cpus_each(count), max_retries=0, scheduling_strategy="SPREAD"
            )
            refs = [task.remote(plan, share, switchboard) for share in shares(plan, count)]
        except BaseException:
            leave_ray(directory)
            raise
        return cls(plan, count, switchboard, refs, directory)

    async def all_here(self) -> bool:
        """Return whether all generators have begun.

        Raises:
            FleetError: One failed before, or the cluster has no room for them.
        """
        if self.failures():
            raise FleetError(self._why())
        here = await self._call("here")
        if here < self.tasks and time.monotonic() - self._started_at > BEGIN_TIMEOUT_S:
            raise FleetError(
                f"only {here} of {self.tasks} generators were started within {BEGIN_TIMEOUT_S:g} s: "
                "the cluster has no processors left for more; try fewer --tasks"
            )
        return bool(here >= self.tasks)

    async def take(self) -> list[Sample]:
        """Return the samples since the last call.

        Raises:
            FleetError: All generators have failed.
        """
        samples: list[Sample] = await self._call("take")
        if not samples and len(self.failures()) == self.tasks:
            raise FleetError(self._why())
        return samples

    async def order(self, orders: Orders) -> None:
        """See ``Switchboard.order``."""
        await self._call("order", orders)

    @property
    def alive(self) -> int:
        """How many generators have not ended."""
        return sum(not end.done() for end in self._ends)

    def ended_tasks(self) -> list[int]:
        """Return the numbers of the generators that have ended."""
        return [task for task, end in enumerate(self._ends) if end.done()]

    def failures(self) -> list[str]:
        """Return what ended those generators that did not end in order."""
        errors = [end.exception() for end in self._ends if end.done() and not end.cancelled()]
        return [_told(error) for error in errors if error is not None]

    async def ended(self, timeout_s: float) -> None:
        """Wait until all generators have ended, at most so long."""
        await asyncio.wait(self._ends, timeout=timeout_s)

    async def stop(self) -> None:
        """End whatever still runs, and leave Ray or end it."""
        for end in self._ends:
            end.cancel()
        await asyncio.gather(*self._ends, return_exceptions=True)
        await asyncio.to_thread(leave_ray, self._directory)

    async def _call(self, method: str, *arguments: Any) -> Any:
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                return await getattr(self._switchboard, method).remote(*arguments)
        except (RayError, TimeoutError) as error:
            raise FleetError(f"the switchboard gave no answer: {_told(error)}") from error

    def _why(self) -> str:
        return "; ".join(sorted(set(self.failures())))


async def _awaited(ref: Any) -> None:
    await ref


def _told(error: BaseException) -> str:
    """Return an error as one line: the generator's own rather than Ray's account of it."""
    cause = getattr(error, "cause", None) or error
    return f"{type(cause).__name__}: {str(cause).strip().splitlines()[-1] if str(cause).strip() else ''}"


def _processors(of: Callable[[], dict[str, float]]) -> float:
    return float(of().get("CPU", 0.0))


def _cpus_each(tasks: int) -> float:
    """Return what each task asks for: a processor, or its part of what is free when that is less."""
    free = _processors(ray.available_resources)
    return min(1.0, math.floor(free / tasks / CPU_STEP) * CPU_STEP)


def _loop_factory() -> Any:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _allow_many_sockets() -> None:
    """Raise the soft limit of open files to the hard one; the usual soft one is 1,024."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
