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
from loadtest.interrupts import Interrupts
from loadtest.mailbox import Orders
from loadtest.measures import Phase, Sample
from loadtest.plan import Plan
from loadtest.ray_generators import GeneratorsError, LoadCluster, RayGenerators
from loadtest.report import Facts
from loadtest.run import Driver, Runner, run_load
from loadtest.screen import LoadScreen
from loadtest.server_page import MetricsPages, NoPage, ServerPage
from tests.loadtest.makers import plan, sample
from tests.loadtest.server_pages import page_text

FACTS = "archive_facts_total 7\narchive_events_total 7\narchive_entries_waiting 0\n"


class Pages:
    """The metrics page of a server on which nothing changes; ``facts`` is what the next ones say of its event log."""

    def __init__(self) -> None:
        self.trouble = ""
        self.facts = [FACTS]
        self.agents: list[int] = []

    async def read(self) -> ServerPage:
        if self.trouble:
            raise NoPage(self.trouble)
        facts = self.facts.pop(0) if len(self.facts) > 1 else self.facts[0]
        standing = self.agents.pop(0) if self.agents else 0
        return ServerPage(page_text(1.0, {"shard-0": 1.0}) + facts + f"active_agents {standing}\n")


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

    async def stop(self) -> None:
        pass

    async def ended(self, timeout_s: float) -> None:
        assert self.orders.leave


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "POLL_S", 0.0)
    monkeypatch.setattr(run_module, "METRICS_AGE_S", 0.0)


def driver_of(generators: PlayedGenerators, pages: Pages | None = None) -> Driver:
    screen = LoadScreen(Console(file=io.StringIO()), plan())
    of_server = cast(MetricsPages, pages or Pages())
    played = cast(RayGenerators, generators)
    return Driver(plan(), screen, played, Facts("now", None), Interrupts(screen.say), of_server)


async def driven(generators: PlayedGenerators, pages: Pages | None = None) -> Driver:
    driver = driver_of(generators, pages)
    async with asyncio.timeout(10):
        await driver.run()
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
    generators.at_second[second] = driver._interrupts.note
    async with asyncio.timeout(10):
        await driver.run()
    assert driver.facts.interrupted
    assert driver.facts.server is None
    assert generators.orders.leave
    assert generators.orders.stop_at == second + 1
    assert driver.totals.whole.counts["acks"] > 0


async def test_a_second_interrupt_waits_for_nobody() -> None:
    generators = PlayedGenerators(drains_s=10**6)
    driver = driver_of(generators)
    generators.at_second[5] = generators.at_second[7] = driver._interrupts.note
    async with asyncio.timeout(10):
        await driver.run()
    assert generators.orders.leave


async def test_after_an_interrupt_nobody_is_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "HURRY_S", 0.05)
    generators = PlayedGenerators(drains_s=10**6)
    driver = driver_of(generators)
    generators.at_second[5] = driver._interrupts.note
    async with asyncio.timeout(10):
        await driver.run()
    assert generators.orders.leave


async def test_a_generator_that_dies_is_reported_and_the_rest_goes_on() -> None:
    generators = PlayedGenerators(dies_at=6)
    driver = await driven(generators)
    assert driver.facts.failures == ["OSError: gone"]
    assert driver.totals.measured_s == 10


async def test_without_a_metrics_page_nothing_is_compared() -> None:
    pages = Pages()
    pages.trouble = "/metrics wants a token"
    driver = await driven(PlayedGenerators(), pages)
    assert driver.facts.server is None
    assert driver.facts.event_log is None
    assert driver.facts.server_trouble == "/metrics wants a token"


async def test_the_event_log_is_waited_for() -> None:
    pages = Pages()
    late = FACTS.replace("facts_total 7", "facts_total 9").replace("waiting 0", "waiting 2")
    pages.facts = [FACTS, late, late, FACTS.replace(" 7", " 9")]
    driver = await driven(PlayedGenerators(), pages)
    assert driver.facts.event_log is not None
    assert (driver.facts.event_log.facts, driver.facts.event_log.written, driver.facts.event_log.waiting) == (2, 2, 0)


async def test_what_never_comes_is_not_waited_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "EVENT_LOG_WAIT_S", 0.05)
    pages = Pages()
    pages.facts = [FACTS, FACTS.replace("facts_total 7", "facts_total 9")]
    driver = await driven(PlayedGenerators(), pages)
    assert driver.facts.event_log is not None
    assert driver.facts.event_log.unexplained == 2


class PlayedCluster:
    """Starts generators that are played."""

    def __init__(self, interrupt_at: int | None = None) -> None:
        self.launched: list[Plan] = []
        self.interrupt_at = interrupt_at
        self.note: Callable[[], None] = lambda: None
        self.stopped = 0

    def launch(self, plan: Plan, tasks: int | None) -> PlayedGenerators:
        self.launched.append(plan)
        generators = PlayedGenerators()
        if self.interrupt_at == len(self.launched):
            generators.at_second[4] = self.note
        return generators


async def runner_of(pages: Pages, cluster: PlayedCluster) -> Runner:
    screen = LoadScreen(Console(file=io.StringIO()), plan())
    interrupts = Interrupts(screen.say)
    cluster.note = interrupts.note
    parts = (cast(LoadCluster, cluster), interrupts, cast(MetricsPages, pages))
    return Runner(screen, *parts, tasks=2, address=None)


async def test_the_next_run_waits_until_the_last_ones_agents_are_gone() -> None:
    pages, cluster = Pages(), PlayedCluster()
    pages.agents = [3]
    runner = await runner_of(pages, cluster)
    await runner.settle()
    report = await runner.run(plan())
    assert report["losses"].startswith("Nothing lost")
    pages.agents = [13, 9, 3, 99]
    async with asyncio.timeout(10):
        await runner.settle()
    assert pages.agents == [99], "the three that stood there at first may stay"


async def test_where_nobody_tells_it_waits_for_as_long_as_they_may_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "GONE_WITHIN_S", 0.1)
    pages, cluster = Pages(), PlayedCluster()
    pages.trouble = "/metrics wants a token"
    runner = await runner_of(pages, cluster)
    await runner.settle()
    await runner.run(plan())
    began = asyncio.get_running_loop().time()
    await runner.settle()
    assert asyncio.get_running_loop().time() - began >= 0.1


async def test_an_interrupted_run_of_a_search_has_its_report() -> None:
    cluster = PlayedCluster(interrupt_at=1)
    runner = await runner_of(Pages(), cluster)
    report = await runner.run(plan())
    assert report["interrupted"]
    assert await runner.run_after_the_last(plan()) is None, "no other one is begun"
    assert len(cluster.launched) == 1


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

    monkeypatch.setattr(LoadCluster, "start", never)
    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1] if status else 1
    screen = LoadScreen(Console(file=io.StringIO()), plan())
    async with listening:
        with pytest.raises(error):
            await run_load(plan(base=f"http://127.0.0.1:{port}"), screen, tasks=1, address=None)
