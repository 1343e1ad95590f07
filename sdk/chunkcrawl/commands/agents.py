"""``agent list`` and ``agent thoughts``: the account's agents, and whether anybody may read what they think."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from chunkcrawl.commands.common import DEFAULT_BASE, BaseOption, JsonOption, api_key_for, emit, one_line, perform

__all__ = ["agent_app"]

agent_app = typer.Typer(no_args_is_help=True, help="List agents of yours; say who may read what they think.")


@agent_app.command("list")
def agent_list(base: BaseOption = DEFAULT_BASE, as_json: JsonOption = False) -> None:
    """List the agents of your account.

    Example: chunkcrawl agent list --json
    """
    from chunkcrawl.transport.http import Api, OwnAgent

    key = api_key_for(base, as_json=as_json) or ""

    async def work() -> list[OwnAgent]:
        async with Api(base) as api:
            return await api.own_agents(auth=key)

    for agent in perform(work(), as_json=as_json):
        _print(agent.agent_id, public=agent.thoughts_public, as_json=as_json)


@agent_app.command("thoughts")
def agent_thoughts(
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="An agent of yours.")],
    who: Annotated[Literal["public", "private"], typer.Argument(help="Anybody, or you alone.")],
    base: BaseOption = DEFAULT_BASE,
    as_json: JsonOption = False,
) -> None:
    """Let anybody read what an agent of yours thinks, on its public page, or nobody but you, as it is at first.

    Example: chunkcrawl agent thoughts scout-1 public
    """
    from chunkcrawl.transport.http import Api, OwnAgent

    key = api_key_for(base, as_json=as_json) or ""

    async def work() -> OwnAgent:
        async with Api(base) as api:
            return await api.show_thoughts(agent, who == "public", auth=key)

    changed = perform(work(), as_json=as_json)
    _print(changed.agent_id, public=changed.thoughts_public, as_json=as_json)


def _print(agent_id: str, *, public: bool, as_json: bool) -> None:
    text = f"{one_line(agent_id)}  thoughts {'public' if public else 'private'}"
    emit({"agent_id": agent_id, "thoughts_public": public}, text, as_json=as_json)
