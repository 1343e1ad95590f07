"""``chunkcrawl load``: the command line of load testing."""

from __future__ import annotations

import asyncio
import json
import os
import random
import secrets
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from chunkcrawl.commands.common import (
    CHECK_ADDRESS,
    DEFAULT_BASE,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_UNREACHABLE,
    EXIT_USAGE,
    BaseOption,
    JsonOption,
    fail,
)
from loadtest.conditions import Condition
from loadtest.figures import FIGURES
from loadtest.limits import BadLimit, FigureLimit
from loadtest.plan import Plan, Scenario

__all__ = ["app"]

AGENTS_MOST: Final = 100_000
TASKS_MOST: Final = 1_024
SEARCH_MOST: Final = 20_000

app = typer.Typer(add_completion=False, rich_markup_mode="markdown", pretty_exceptions_enable=False)


def _tasks(text: str) -> int | None:
    if text == "auto":
        return None
    if text.isascii() and text.isdigit() and 0 < int(text) <= TASKS_MOST:
        return int(text)
    raise typer.BadParameter(f"auto, or 1 to {TASKS_MOST}", param_hint="--tasks")


def _limits(texts: list[str]) -> list[FigureLimit]:
    try:
        return [FigureLimit.parse(text, FIGURES) for text in texts]
    except BadLimit as error:
        raise typer.BadParameter(
            f"{error}; `chunkcrawl load --figures` explains them", param_hint="--fail-if"
        ) from None


def _condition(text: str | None) -> Condition | None:
    try:
        return None if text is None else Condition.parse(text, FIGURES)
    except BadLimit as error:
        raise typer.BadParameter(str(error), param_hint="--find-limit") from None


def _earlier(directory: Path | None) -> dict[str, Any] | None:
    from loadtest.earlier import BadReport, read_report

    try:
        return None if directory is None else read_report(directory)
    except BadReport as error:
        raise typer.BadParameter(str(error), param_hint="--compare") from None


def _ramp_s(connections: int, ramp: float | None, side_by_side: int | None) -> float:
    if side_by_side is None:
        return Plan.usual_ramp_s(connections) if ramp is None else ramp
    if ramp is not None:
        raise typer.BadParameter("give --ramp or --side-by-side, not both", param_hint="--side-by-side")
    return 0.0


def _print_figures(wanted: bool) -> None:
    if wanted:
        for name, what in FIGURES.items():
            typer.echo(f"{name:32}  {what}")
        raise typer.Exit


@app.command()
def load(
    base: BaseOption = DEFAULT_BASE,
    agents: Annotated[int, typer.Option(min=0, max=AGENTS_MOST, help="Simulated agents.")] = 100,
    spectators: Annotated[int, typer.Option(min=0, max=AGENTS_MOST, help="Simulated spectators.")] = 0,
    duration: Annotated[int, typer.Option(min=1, metavar="S", help="Seconds that are measured.")] = 60,
    scenario: Annotated[Scenario, typer.Option(help="What the agents do.")] = "wander",
    tasks: Annotated[str, typer.Option(metavar="N", help="Generators (Ray tasks), or `auto`.")] = "auto",
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Write report.json and report.html there.")] = None,
    ramp: Annotated[
        float | None, typer.Option(min=0, metavar="S", help="Seconds over which they join.", show_default="50 a second")
    ] = None,
    side_by_side: Annotated[
        int | None,
        typer.Option(
            min=1, max=AGENTS_MOST, metavar="N", help="Join N at a time as fast as they get in, with no ramp."
        ),
    ] = None,
    think: Annotated[float, typer.Option(min=0, metavar="S", help="Mean pause between two commands.")] = 1.0,
    seed: Annotated[int | None, typer.Option(min=0, help="Of all decisions.", show_default="a new one")] = None,
    fail_if: Annotated[
        list[str] | None, typer.Option(metavar="LIMIT", help="For instance `rtt_p99_ms>100`; may be given repeatedly.")
    ] = None,
    find_limit: Annotated[
        str | None,
        typer.Option(
            metavar="CONDITION",
            help="Find the largest number of agents for which it holds, for instance "
            "`rtt_p99_ms<100 and tick_gap_p99_ms<300`; begins with --agents.",
        ),
    ] = None,
    most_agents: Annotated[
        int, typer.Option(min=1, max=AGENTS_MOST, metavar="N", help="The largest number that --find-limit tries.")
    ] = SEARCH_MOST,
    compare: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Show an earlier report, of `--out DIR`, beside this one.")
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Ray cluster to run in.", show_default="one for this run alone"),
    ] = None,
    as_json: JsonOption = False,
    figures: Annotated[
        bool, typer.Option("--figures", help="List the figures for limits.", callback=_print_figures, is_eager=True)
    ] = False,
) -> None:
    """Let simulated agents and spectators loose on a server, and measure how it holds.

    Scenarios: wander (walk, talk, change chunks now and then), crowd (all to the middle), cross (out of the chunk, over
    and over), harvest, reconnect (connections break every 10 s), slow-reader (every second spectator and every
    fourth agent hardly reads).

    With --find-limit it runs again and again, with twice as many agents until the condition fails, then halving the
    distance, and reports on the largest number that held twice.

    Ends after Ctrl-C too, with a report of what there is. With CHUNKCRAWL_API_KEY all agents belong to that key's
    account, else each generator signs up. CHUNKCRAWL_METRICS_TOKEN opens the server's own counts for a comparison.

    Exit codes: 0 done, 1 a limit was broken or the run failed, 2 wrong usage, 3 the server can't be reached, 130
    interrupted.

    Examples:

        chunkcrawl load --agents 500 --spectators 100 --duration 60 --out report

        chunkcrawl load --agents 200 --scenario crowd --fail-if "rtt_p99_ms>100" --fail-if "results_missing>0"

        chunkcrawl load --agents 50 --duration 20 --find-limit "rtt_p99_ms<100 and tick_gap_p99_ms<300" --out limit

        chunkcrawl load --agents 500 --out after --compare before

        chunkcrawl load --base https://world.example.com --agents 5000 --address ray-head:6379 --json
    """
    if agents + spectators == 0:
        raise typer.BadParameter("at least one agent or spectator is needed", param_hint="--agents")
    limits, condition, earlier = _limits(fail_if or []), _condition(find_limit), _earlier(compare)
    if condition is not None and not agents:
        raise typer.BadParameter("it needs agents to begin with", param_hint="--find-limit")
    if condition is not None and ramp is not None:
        raise typer.BadParameter("each run has its own ramp, of 50 a second", param_hint="--ramp")
    if condition is not None and limits:
        raise typer.BadParameter("give --find-limit or --fail-if, not both", param_hint="--find-limit")
    plan = Plan(
        base=base,
        agents=agents,
        spectators=spectators,
        duration_s=duration,
        scenario=scenario,
        seed=random.SystemRandom().randrange(2**31) if seed is None else seed,
        run_id=secrets.token_hex(3),
        ramp_s=_ramp_s(agents + spectators, ramp, side_by_side),
        side_by_side=side_by_side or 0,
        think_s=think,
        api_key=os.environ.get("CHUNKCRAWL_API_KEY") or None,
    )
    _check_directory(out, as_json=as_json)
    search = None if condition is None else (condition, most_agents)
    report = _run(plan, limits, search, tasks=_tasks(tasks), address=address, as_json=as_json)
    if earlier is not None:
        from loadtest.earlier import compared

        report["compared"] = compared(report, earlier)
    _hand_over(report, out, as_json=as_json)
    if report["interrupted"]:
        raise typer.Exit(EXIT_INTERRUPTED)
    if not report["ok"]:
        raise typer.Exit(EXIT_FAILED)


def _run(
    plan: Plan,
    limits: list[FigureLimit],
    search: tuple[Condition, int] | None,
    *,
    tasks: int | None,
    address: str | None,
    as_json: bool,
) -> dict[str, Any]:
    from chunkcrawl.errors import ChunkcrawlError, NotReady, ServerUnreachable
    from embedded.children import ServiceError
    from loadtest.ray_generators import GeneratorsError
    from loadtest.run import run_load, run_search
    from loadtest.screen import LoadScreen

    screen = LoadScreen(Console(stderr=True), plan)
    token = os.environ.get("CHUNKCRAWL_METRICS_TOKEN") or None
    where: dict[str, Any] = {"tasks": tasks, "address": address, "metrics_token": token}
    if search is None:
        work = run_load(plan, screen, limits=limits, **where)
    else:
        work = run_search(plan, screen, search[0], most=search[1], **where)
    try:
        return asyncio.run(work)
    except (ServerUnreachable, NotReady) as error:
        fail(error.reason, f"{error}; {CHECK_ADDRESS}", as_json=as_json, code=EXIT_UNREACHABLE)
    except (GeneratorsError, ServiceError, ChunkcrawlError) as error:
        fail("load_failed", str(error), as_json=as_json)
    except ConnectionError as error:
        fail("no_ray_cluster", str(error), as_json=as_json, code=EXIT_UNREACHABLE)
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None


def _check_directory(out: Path | None, *, as_json: bool) -> None:
    """Refuse a report directory that can't be written, before minutes of measuring."""
    if out is None:
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "report.json").touch()
    except OSError as error:
        fail("unwritable", str(error), as_json=as_json, code=EXIT_USAGE)


def _hand_over(report: dict[str, Any], out: Path | None, *, as_json: bool) -> None:
    """Print the report, and write its files."""
    from loadtest.report_text import print_report

    if out is not None:
        from loadtest.report_html import render

        (out / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        (out / "report.html").write_text(render(report), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(report))
        return
    console = Console()
    print_report(console, report)
    if out is not None:
        console.print(f"Report: {out / 'report.html'}", soft_wrap=True, highlight=False)
