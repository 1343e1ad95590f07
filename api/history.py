"""What an agent has done, for its owner: ``GET /v1/agents/{agent_id}/history``, from the event log and its thoughts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, Field

from api.accounts.auth import Principal
from api.accounts.principals import OWNERS_REFUSALS, agents_owner, check_owner
from api.fields import AgentIdField, EntryIdField, MomentField
from api.responses import refusals
from api.services import Services
from store import event_log, thoughts
from store.event_log import LoggedEvent, number_of
from store.thoughts import Thought

router = APIRouter()

Kind = Literal["join", "leave", "result", "crossing", "harvest", "give", "chat", "thought"]

PAGE: Final = 100
PAGE_MAX: Final = 1000
KINDS_MAX: Final = 16


class EntryInfo(BaseModel):
    """One thing that an agent did, or that it was given."""

    entry_id: str = Field(description="Unique, and higher the later it happened.")
    at: datetime
    tick: int
    chunk_id: str | None = Field(description="Where; for a crossing the chunk that was left.")
    agent_id: str | None = Field(description="Who did it: the giver, where this agent was given something.")
    kind: str = Field(
        description="`join`, `leave`, `result` (a command's end), `crossing`, `harvest`, `give`, `chat`, `thought`."
    )
    details: dict[str, Any] = Field(
        description="By kind. `result`: `command` (its type), `asked` (its fields), `server_cmd_id`, `client_cmd_id`,"
        " `status`, `reason`. `crossing`: `to_chunk_id`, `x`, `y`. `harvest`: `node_id`, `amount`, `gold`."
        " `give`: `to`, `amount`, `gold` (the giver's, after it). `chat`: `text`. `thought`: `text`, `doing`."
        " `join`, `leave`: `x`, `y`."
    )


class History(BaseModel):
    """A page of what an agent did, newest first."""

    agent_id: str
    entries: list[EntryInfo]
    next: str | None = Field(description="Pass it as `before` for what happened earlier; null: there is nothing.")


@router.get(
    "/v1/agents/{agent_id}/history",
    responses=refusals(*OWNERS_REFUSALS),
    tags=["accounts"],
)
async def history(
    agent_id: Annotated[AgentIdField, Path()],
    request: Request,
    caller: Annotated[Principal, Depends(agents_owner)],
    before: Annotated[EntryIdField | None, Query(description="Only what is older than this entry.")] = None,
    since: Annotated[MomentField | None, Query(description="Only from then on; without a zone it is UTC.")] = None,
    until: Annotated[MomentField | None, Query(description="Only before then.")] = None,
    kind: Annotated[list[Kind] | None, Query(max_length=KINDS_MAX, description="Only these; repeat it.")] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = PAGE,
) -> History:
    """Return what an agent of the caller's did and was given, newest first; a second or so behind the game.

    Its owner may ask, by account, API key, or a session for this agent.
    """
    services: Services = request.app.state.services
    await services.limits.history(caller.account_id)
    await check_owner(services, agent_id, caller)
    logged: list[LoggedEvent] = []
    thought: Sequence[Thought] = ()
    more = False
    if kind is None or set(kind) != {"thought"}:
        page = await event_log.history(
            services.engine, agent_id, before=before, since=since, until=until, kinds=kind or (), limit=limit
        )
        logged, more = page.events, page.more
    if kind is None or "thought" in kind:
        thought = await thoughts.newest(
            services.engine, agent_id, before=before, since=since, until=until, limit=limit + 1
        )
    entries = [_of_event(event) for event in logged] + [_of_thought(one) for one in thought]
    entries.sort(key=lambda entry: (entry.at, number_of(entry.entry_id)), reverse=True)
    more = more or len(entries) > limit
    return History(agent_id=agent_id, entries=entries[:limit], next=entries[limit - 1].entry_id if more else None)


def _of_event(event: LoggedEvent) -> EntryInfo:
    return EntryInfo(
        entry_id=event.entry_id,
        at=event.at,
        tick=event.tick,
        chunk_id=event.chunk_id,
        agent_id=event.agent_id,
        kind=event.kind,
        details=dict(event.payload),
    )


def _of_thought(thought: Thought) -> EntryInfo:
    return EntryInfo(
        entry_id=thought.entry_id,
        at=thought.at,
        tick=thought.tick,
        chunk_id=thought.chunk_id,
        agent_id=thought.agent_id,
        kind="thought",
        details={"text": thought.text, "doing": thought.doing},
    )
