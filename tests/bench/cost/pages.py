"""The tables of docs/scaling.md, of the coefficients and of the worlds that the estimate is held against."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any, Final

from operations.sizing.coefficients import ROLES, Coefficients
from operations.sizing.limits import SINGLE, full, limits
from operations.sizing.model import NODE_CORES, Demand, Estimate, estimate
from tests.bench.cost.runs import Run
from tests.bench.cost.world import HERE

__all__ = ["PAGE", "POINTS", "PROTOTYPE", "Checked", "Measured", "checked", "read_points", "with_tables"]

PAGE: Final = HERE / "docs" / "scaling.md"
POINTS: Final = Path(__file__).with_name("points.json")
#: What `bench_cluster_commit` found.
PROTOTYPE: Final = Path(__file__).with_name("prototype.json")
SIZES: Final = (1_000, 10_000, 100_000, 1_000_000)
#: Characters of a line of the page.
LINE: Final = 120
#: What the estimate calls Ray's processes.
RAY: Final = "others"


@dataclass(frozen=True, slots=True)
class Measured:
    """A world that was played in, as far as the estimate says something about it."""

    agents: int
    commands_per_s: float
    agents_per_chunk: float
    cores: dict[str, float]
    clients_bytes: float
    valkey_out_bytes: float

    @classmethod
    def of(cls, run: Run) -> Measured:
        """What a run found."""
        return cls(
            run.joined,
            run.commands_per_s,
            run.joined / run.chunks,
            {role: round(cores, 4) for role, cores in run.cores.items()},
            round(run.messages_per_s * run.bytes_per_message),
            run.valkey_out_bytes_per_s,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Checked:
    """One figure of a world: as measured, and as estimated."""

    agents: int
    name: str
    measured: float
    estimated: float

    @property
    def deviation(self) -> float:
        """How far the estimate is off, as a share of what was measured."""
        return self.estimated / self.measured - 1 if self.measured else 0.0


def read_points() -> tuple[str, list[Measured]]:
    """When the worlds were measured, and what was found."""
    found = json.loads(POINTS.read_text())
    return found["measured"], [Measured(**point) for point in found["points"]]


def checked(point: Measured, known: Coefficients) -> list[Checked]:
    """The estimate of a world beside what was measured: all cores, those of each role, bytes."""
    demand = Demand(
        point.agents,
        commands_per_agent_s=point.commands_per_s / point.agents,
        agents_per_chunk=point.agents_per_chunk,
    )
    found = estimate(demand, known, gateways=1, shards=known.shards)
    estimated = {role: found.parts["ray" if role == RAY else role].cores for role in ROLES}
    rows = [Checked(point.agents, "all cores", sum(point.cores.values()), found.cores)]
    rows += [Checked(point.agents, role, point.cores[role], estimated[role]) for role in ROLES]
    rows.append(Checked(point.agents, "MB/s to clients", point.clients_bytes / 1e6, found.clients_bytes / 1e6))
    rows.append(Checked(point.agents, "MB/s from Valkey", point.valkey_out_bytes / 1e6, found.valkey_out_bytes / 1e6))
    return rows


# -- tables --


def with_tables(text: str, known: Coefficients) -> str:
    """``text`` with all tables between their marks written anew.

    Raises:
        ValueError: a mark is missing.
    """
    makers: dict[str, Callable[[Coefficients], Iterator[str]]] = {
        "coefficients": _coefficients,
        "check": _check,
        "sizes": _sizes,
        "limits": _limits,
        "prototype": _prototype,
    }
    for name, make in makers.items():
        begin, end = f"<!-- {name}: begin, written by `make costs` -->", f"<!-- {name}: end -->"
        head, found_begin, rest = text.partition(begin)
        _, found_end, tail = rest.partition(end)
        if not (found_begin and found_end):
            raise ValueError(f"the marks of the table {name!r} are missing")
        text = f"{head}{begin}\n\n{chr(10).join(make(known))}\n\n{end}{tail}"
    return text


def _row(*cells: object) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _head(*cells: str) -> Iterator[str]:
    yield _row(*cells)
    yield _row(*["---"] * len(cells))


def _coefficients(known: Coefficients) -> Iterator[str]:
    yield from wrap(f"Measured {known.measured}.", LINE)
    yield ""
    yield from _head("part", "at rest, cores", "us a command", "plus, shared", "us a delta of an agent")
    for role, cost in known.roles.items():
        shared = f"{cost.shared_us:,.0f} / sqrt(r), r <= {cost.shared_upto:,.0f}"
        yield _row(role, f"{cost.idle_cores:.3f}", f"{cost.command_us:.0f}", shared, f"{cost.message_us:.1f}")
    yield ""
    yield from _head("coefficient", "value")
    for name, value in known.to_json().items():
        if name not in ("measured", "roles"):
            yield _row(f"`{name}`", f"{value:,.10g}")


def _check(known: Coefficients) -> Iterator[str]:
    measured, points = read_points()
    yield from wrap(f"Measured {measured}.", LINE)
    yield ""
    yield from _head("", *(f"{point.agents} agents: measured / estimated" for point in points))
    for row in zip(*(checked(point, known) for point in points), strict=True):
        cells = [f"{one.measured:.3f} / {one.estimated:.3f} ({one.deviation:+.0%})" for one in row]
        yield _row(row[0].name, *cells)


def _sizes(known: Coefficients) -> Iterator[str]:
    yield from _head("agents", *(f"{size:,}" for size in SIZES), *(f"{size:,}, partitioned" for size in SIZES[1:]))
    found = [estimate(Demand(size), known) for size in SIZES]
    found += [estimate(Demand(size, partitioned=True), known) for size in SIZES[1:]]
    rows: list[tuple[str, Callable[[Estimate], str]]] = [
        ("commands a second", lambda one: f"{one.rates.commands:,.0f}"),
        *((part, _cell_of(part)) for part in found[0].parts),
        ("all cores", lambda one: f"{one.cores:,.1f}"),
        ("memory, GB", lambda one: f"{one.memory_mb / 1e3:,.1f}"),
        ("MB/s to clients", lambda one: f"{one.clients_bytes / 1e6:,.0f}"),
        ("MB/s from Valkey", lambda one: f"{one.valkey_out_bytes / 1e6:,.0f}"),
        ("full", lambda one: ", ".join(full(one)) or "nothing"),
    ]
    for name, cell in rows:
        yield _row(name, *(cell(one) for one in found))
    yield ""
    yield "Of each part: processes x, cores, and how full the busiest is."
    yield f"PostgreSQL and Ray: machines of {NODE_CORES} cores."


def _cell_of(name: str) -> Callable[[Estimate], str]:
    def cell(found: Estimate) -> str:
        part = found.parts[name]
        return f"{part.processes:,} x, {part.cores:,.1f}, {part.fullness:.0%}"

    return cell


def _limits(known: Coefficients) -> Iterator[str]:
    asked = {
        "agents alone": Demand(1_000),
        "and as many spectators": Demand(1_000, 1_000),
        "agents alone, partitioned": Demand(1_000, partitioned=True),
    }
    yield from _head("what is full", *asked)
    found = {name: {one.part: one.agents for one in limits(demand, known)} for name, demand in asked.items()}
    order = sorted(SINGLE, key=lambda part: found["agents alone"].get(part, 10**12))
    for part in order:
        yield _row(SINGLE[part], *(f"{column[part]:,}" if part in column else "never" for column in found.values()))


#: What the kinds of commits of `bench_commit` hold.
KINDS: Final = {
    "nothing": "nothing",
    "one_command": "a command and its ack",
    "ten_commands": "ten of them",
    "a_result": "a result with its fact",
    "a_tick": "deltas of 5 chunks, 8 agents each",
    "a_full_tick": "deltas of 5 chunks, 64 agents each, ten results",
}


def _prototype(_: Coefficients) -> Iterator[str]:
    found = json.loads(PROTOTYPE.read_text())
    yield from _head("us of the server's CPU", "one server, as it is", "in a slot of three nodes")
    for kind, what in KINDS.items():
        yield _row(
            f"a commit with {what}", *(f"{found['commits'][where][kind]:.0f}" for where in ("single", "partition"))
        )
    source, target = found["crossing_source_us"], found["crossing_target_us"]
    crossing = f"{source:.0f} in the source's node, {target:.0f} in the target's"
    yield _row("a crossing, with the deltas that show it", f"{found['crossing_us']:.0f}", crossing)
    yield _row("a delta to one more subscriber", f"{found['copy_us']:.1f}", f"{found['shard_copy_us']:.1f}")
    yield _row("a second at rest", f"{found['single_idle_us_per_s']:.0f}", f"{found['node_idle_us_per_s']:.0f}")
