"""``scenario``: run a scripted scenario against a server."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated

import typer

from chunkcrawl.commands.common import (
    DEFAULT_BASE,
    EXIT_USAGE,
    BaseOption,
    JsonOption,
    api_key_for,
    emit,
    fail,
    perform,
)

__all__ = ["scenario"]


def scenario(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="A YAML file.")],
    base: BaseOption = DEFAULT_BASE,
    plain_names: Annotated[
        bool, typer.Option("--plain-names", help="Use the agents' names as they are, without a suffix of this run.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Run a scenario: agents act step by step, and what the file expects is checked.

    Exits with 1 at the first step that does not end as it must, with 2 when the file is no scenario.

    Examples:

        chunkcrawl scenario examples/leaving_north.yaml

        chunkcrawl scenario test.yaml --json --base http://127.0.0.1:9000
    """
    from chunkcrawl.scenarios.run import run_scenario
    from chunkcrawl.scenarios.script import ScenarioError, Step, parse_scenario
    from chunkcrawl.transport.http import Api

    try:
        script = parse_scenario(file.read_bytes())
    except ScenarioError as error:
        fail("invalid_scenario", f"{file}: {error}", as_json=as_json, code=EXIT_USAGE)
    key = api_key_for(base, as_json=as_json) or ""
    suffix = "" if plain_names else f"-{secrets.token_hex(3)}"

    def tell(place: str, step: Step) -> None:
        emit({"step": place, "does": str(step)}, f"{place:>4}  {step}", as_json=as_json)

    async def work() -> None:
        async with Api(base) as api:
            await run_scenario(script, api, key, suffix=suffix, on_step=tell)

    perform(work(), as_json=as_json)
    emit({"scenario": script.name, "ok": True}, f"ok    {script.name}", as_json=as_json)
