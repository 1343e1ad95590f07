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
from loadtest.mailbox import Mailbox, Orders
from loadtest.measures import Sample
from loadtest.plan import Plan, Share, shares, tasks_for

__all__ = ["GeneratorsError", "RayGenerators"]

NAMESPACE: Final = "chunkcrawl-load"
BEGIN_TIMEOUT_S: Final = 120.0
CALL_TIMEOUT_S: Final = 15.0
CPU_STEP: Final = 0.01


class GeneratorsError(OperatorError, RuntimeError):
    """Generators could not be started, or all of them failed."""

    reason = "generators_failed"


class RemoteMailbox:
    """``MailboxApi`` over the mailbox's actor."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    async def begin(self, task: int) -> None:
        """See ``MailboxApi``."""
        await self._handle.begin.remote(task)

    async def report(self, sample: Sample) -> Orders:
        """See ``MailboxApi``."""
        async with asyncio.timeout(CALL_TIMEOUT_S):
            orders: Orders = await self._handle.report.remote(sample)
        return orders


def run_generator(plan: Plan, share: Share, mailbox: Any) -> None:
    """Run a generator to its end, as the body of a Ray task.  See ``generate`` for what it raises."""
    _allow_many_sockets()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(generate(plan, share, RemoteMailbox(mailbox)))


class LoadCluster:
    """The Ray cluster that generators run in.  Make it with ``LoadCluster.start``, and ``stop`` it in any case."""

    def __init__(self, directory: RunDirectory | None) -> None:
        self._directory = directory

    @classmethod
    def start(cls, *, tasks: int | None, address: str | None) -> LoadCluster:
        """Start Ray, or join the cluster at ``address``.

        Blocks for some seconds, in the thread that Ray's processes are to belong to.

        Args:
            tasks: How many generators there are going to be; None for as many as there are processors at most.

        Raises:
            ConnectionError: The cluster at ``address`` can't be joined.
        """
        cpus = None if address else max(os.cpu_count() or 1, tasks or 0)
        return cls(join_ray(address, NAMESPACE, num_cpus=cpus))

    def launch(self, plan: Plan, tasks: int | None) -> RayGenerators:
        """Start the generators of a plan; needs a running event loop.

        Args:
            tasks: How many; None for as many as the connections want and the processors allow.
        """
        count = tasks or tasks_for(plan.agents + plan.spectators, _processors(ray.cluster_resources))
        actor: Any = ray.remote(Mailbox).options(num_cpus=0)
        mailbox = actor.remote(count)
        task: Any = ray.remote(run_generator).options(
            num_cpus=_cpus_each(count), max_retries=0, scheduling_strategy="SPREAD"
        )
        return RayGenerators(count, mailbox, [task.remote(plan, share, mailbox) for share in shares(plan, count)])

    async def stop(self) -> None:
        """Leave Ray, or end the cluster of our own with whatever still runs in it."""
        await asyncio.to_thread(leave_ray, self._directory)


class RayGenerators:
    """The generators of one run, as tasks.  ``stop`` them in any case."""

    def __init__(self, tasks: int, mailbox: Any, refs: list[Any]) -> None:
        #: How many generators there are.
        self.tasks = tasks
        self._mailbox, self._refs = mailbox, refs
        self._started_at = time.monotonic()
        self._ends = [asyncio.ensure_future(_awaited(ref)) for ref in refs]

    async def all_here(self) -> bool:
        """Return whether all generators have begun.

        Raises:
            GeneratorsError: One failed before, or the cluster has no room for them.
        """
        if self.failures():
            raise GeneratorsError(self._why())
        here = await self._call("here")
        if here < self.tasks and time.monotonic() - self._started_at > BEGIN_TIMEOUT_S:
            raise GeneratorsError(
                f"only {here} of {self.tasks} generators were started within {BEGIN_TIMEOUT_S:g} s: "
                "the cluster has no processors left for more; try fewer --tasks"
            )
        return bool(here >= self.tasks)

    async def take(self) -> list[Sample]:
        """Return the samples since the last call.

        Raises:
            GeneratorsError: All generators have failed.
        """
        samples: list[Sample] = await self._call("take")
        if not samples and len(self.failures()) == self.tasks:
            raise GeneratorsError(self._why())
        return samples

    async def order(self, orders: Orders) -> None:
        """See ``Mailbox.order``."""
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
        """End whatever still runs."""
        for end, ref in zip(self._ends, self._refs, strict=True):
            if not end.done():
                ray.cancel(ref, force=True)
                end.cancel()
        await asyncio.gather(*self._ends, return_exceptions=True)
        ray.kill(self._mailbox)

    async def _call(self, method: str, *arguments: Any) -> Any:
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                return await getattr(self._mailbox, method).remote(*arguments)
        except (RayError, TimeoutError) as error:
            raise GeneratorsError(f"the mailbox gave no answer: {_told(error)}") from error

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
