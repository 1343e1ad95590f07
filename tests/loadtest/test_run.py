"""The driver, with a generators that is played: what it orders when, and how it ends."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from typing import Any, cast

import pytest
from rich.console import Console

from chunkcrawl.errors import NotReady, ServerUnreachable
from loadtest import run as run_module
from loadtest.mailbox import Orders
from loadtest.measures import Phase, Sample
from loadtest.ray_generators import GeneratorsError, RayGenerators
from loadtest.report import Facts
from loadtest.run import Driver, run_load
from loadtest.screen import LoadScreen
from tests.loadtest.makers import plan, sample

PAGE = {"acks": 100.0, "results": 100.0, "refusals": 0.0, "agents": 0.0, "spectators": 0.0}


class PlayedGenerators:
    """Two generators that do as they are ordered, a second each time the driver looks."""

    def __init__(self, *, joins_at: int = 2, drains_s: int = 1, dies_at: int | None = None) -> None:
        self.tasks = 2
        self.second = -1
        self.orders = Orders()
        self.given: list[Orders] = []
        self.joins_at, self.drains_s, self.dies_at = joins_at, drains_s, dies_at
        self.at_second: dict[int, Callable[[], None]] = {}

    def phase(self) -> Phase:
        if self.orders.stop_at is not None and self.second >= self.orders.stop_at:
            return "drained" if self.second >= self.orders.stop_at + self.drains_s else "drain"
        return "ready" if self.second >= self.joins_at else "ramp"

    async def all_here(self) -> bool:
        return True

    async def take(self) -> list[Sample]:
        self.second += 1
        if self.second in self.at_second:
            self.at_second[self.second]()
        if self.dies_at is not None and self.second >= self.dies_at and self.tasks == len(self.ended_tasks()):
            raise GeneratorsError("OSError: gone")
        alive = [task for task in range(self.tasks) if task not in self.ended_tasks()]
        return [sample(task, self.second, self.phase(), acks=1, results=1, agents=5) for task in alive]

    async def order(self, orders: Orders) -> None:
        self.orders = orders
        self.given.append(orders)

    @property
    def alive(self) -> int:
        return self.tasks - len(self.ended_tasks())

    def ended_tasks(self) -> list[int]:
        return [1] if self.dies_at is not None and self.second >= self.dies_at else []

    def failures(self) -> list[str]:
        return ["OSError: gone" for _ in self.ended_tasks()]

    async def ended(self, timeout_s: float) -> None:
        assert self.orders.leave


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "POLL_S", 0.0)
    monkeypatch.setattr(run_module, "METRICS_AGE_S", 0.0)

    async def counts(base: str, token: str | None) -> dict[str, float]:
        return dict(PAGE)

    monkeypatch.setattr(run_module, "read_counts", counts)


def driver_of(generators: PlayedGenerators) -> Driver:
    screen = LoadScreen(Console(file=io.StringIO()), plan())
    return Driver(plan(), screen, cast(RayGenerators, generators), Facts("now", None))


async def driven(generators: PlayedGenerators) -> Driver:
    driver = driver_of(generators)
    async with asyncio.timeout(10):
        await driver.run(None)
    return driver


async def test_joins_measures_drains_compares_and_leaves() -> None:
    generators = PlayedGenerators()
    driver = await driven(generators)
    assert generators.given == [Orders(4, 14), Orders(4, 14, leave=True)]
    assert driver.totals.measured_s == 10
    assert driver.totals.measured.counts["acks"] == 20
    assert not driver.facts.interrupted
    assert driver.facts.failures == []
    assert driver.facts.server is not None
    assert {one.name: one.servers for one in driver.facts.server}["acks"] == 0


@pytest.mark.parametrize("second", [0, 5])
async def test_an_interrupt_ends_it_with_what_there_is(second: int) -> None:
    generators = PlayedGenerators()
    driver = driver_of(generators)
    generators.at_second[second] = driver._interrupted
    async with asyncio.timeout(10):
        await driver.run(None)
    assert driver.facts.interrupted
    assert driver.facts.server is None
    assert generators.orders.leave
    assert generators.orders.stop_at == second + 1
    assert driver.totals.whole.counts["acks"] > 0


async def test_a_second_interrupt_waits_for_nobody() -> None:
    generators = PlayedGenerators(drains_s=10**6)
    driver = driver_of(generators)
    generators.at_second[5] = generators.at_second[7] = driver._interrupted
    async with asyncio.timeout(10):
        await driver.run(None)
    assert generators.orders.leave


async def test_after_an_interrupt_nobody_is_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "HURRY_S", 0.05)
    generators = PlayedGenerators(drains_s=10**6)
    driver = driver_of(generators)
    generators.at_second[5] = driver._interrupted
    async with asyncio.timeout(10):
        await driver.run(None)
    assert generators.orders.leave


async def test_a_generator_that_dies_is_reported_and_the_rest_goes_on() -> None:
    generators = PlayedGenerators(dies_at=6)
    driver = await driven(generators)
    assert driver.facts.failures == ["OSError: gone"]
    assert driver.totals.measured_s == 10


async def test_without_a_metrics_page_nothing_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(base: str, token: str | None) -> None:
        return None

    monkeypatch.setattr(run_module, "read_counts", nothing)
    assert (await driven(PlayedGenerators())).facts.server is None


@pytest.mark.parametrize(("status", "error"), [(None, ServerUnreachable), (503, NotReady)])
async def test_a_server_that_is_not_there_starts_no_ray(
    status: int | None, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("Ray was started")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    monkeypatch.setattr(RayGenerators, "start", never)
    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1] if status else 1
    screen = LoadScreen(Console(file=io.StringIO()), plan())
    async with listening:
        with pytest.raises(error):
            await run_load(plan(base=f"http://127.0.0.1:{port}"), screen, tasks=1, address=None)
