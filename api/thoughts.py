"""What an agent thinks: the reason that it gives for what it does, told beside its commands.

``POST /v1/agents/{agent_id}/thoughts`` keeps one, ``GET`` reads them, for the agent's owner; they are part of its
history too (``api.history``).  A page that shows them to others asks ``store.thoughts.newest`` itself, once the owner
has allowed it.  See docs/decisions/0034-hosted-mcp.md.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, cast

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import PydanticCustomError

from api.accounts.auth import Principal
from api.accounts.principals import OWNERS_REFUSALS, agents_owner, check_owner
from api.fields import AgentIdField, EntryIdField
from api.ids import new_trace_id
from api.responses import refusals
from api.services import Services
from store import thoughts
from store.thoughts import Thought
from streaming import keys
from streaming.shared_clock import utc_now
from world.text import normalise

router = APIRouter()

THOUGHT_MAX_CHARS: Final = 280
PAGE: Final = 20
PAGE_MAX: Final = 100
DOING_PATTERN: Final = r"^[a-z_]{1,32}$"


def _one_line(text: str) -> str:
    line = normalise(text)
    if line is None or len(line) > THOUGHT_MAX_CHARS:
        raise PydanticCustomError("thought", "not a line that can be shown")
    return line


class NewThought(BaseModel):
    """What an agent thinks, and what it is about to do."""

    text: Annotated[str, Field(min_length=1, max_length=4 * THOUGHT_MAX_CHARS), AfterValidator(_one_line)] = Field(
        description=f"1..{THOUGHT_MAX_CHARS} characters of one line, after control characters were removed."
    )
    doing: str | None = Field(None, max_length=32, pattern=DOING_PATTERN, description="In one word, as `go_to`.")


class ThoughtInfo(BaseModel):
    """A thought that was kept."""

    entry_id: str = Field(description="As in the history: unique, and higher the later it was.")
    at: datetime
    chunk_id: str | None = Field(description="Where the agent was, as far as is known.")
    doing: str | None
    text: str


class Thoughts(BaseModel):
    """What an agent thought, newest first."""

    agent_id: str
    thoughts: list[ThoughtInfo]
    next: str | None = Field(description="Pass it as `before` for older ones; null: there are none.")


def shown(thought: Thought) -> ThoughtInfo:
    """Return a thought as clients see it."""
    return ThoughtInfo(
        entry_id=thought.entry_id,
        at=thought.at,
        chunk_id=thought.chunk_id,
        doing=thought.doing,
        text=thought.text,
    )


@router.post(
    "/v1/agents/{agent_id}/thoughts",
    status_code=201,
    responses=refusals(*OWNERS_REFUSALS, "banned", "banned_words", "muted"),
    tags=["accounts"],
)
async def think(
    agent_id: Annotated[AgentIdField, Path()],
    body: NewThought,
    request: Request,
    caller: Annotated[Principal, Depends(agents_owner)],
) -> ThoughtInfo:
    """Keep what an agent thinks, for its owner to see.

    It is moderated as what it says: a banned word refuses it and counts as a violation, and a muted agent is muted
    here too.
    """
    services: Services = request.app.state.services
    await services.limits.writings(caller.account_id)
    await check_owner(services, agent_id, caller)
    await services.bans.check(caller.account_id, agent_id)
    trace_id = getattr(request.state, "trace_id", None) or new_trace_id()
    await services.thought_rules.check(agent_id, body.text, trace_id)
    chunk_id, tick = await _place(services, agent_id)
    thought = await thoughts.add(
        services.engine, agent_id, body.text, at=utc_now(), doing=body.doing, chunk_id=chunk_id, tick=tick
    )
    return shown(thought)


@router.get("/v1/agents/{agent_id}/thoughts", responses=refusals(*OWNERS_REFUSALS), tags=["accounts"])
async def read_thoughts(
    agent_id: Annotated[AgentIdField, Path()],
    request: Request,
    caller: Annotated[Principal, Depends(agents_owner)],
    before: Annotated[EntryIdField | None, Query(description="Only what is older than this entry.")] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = PAGE,
) -> Thoughts:
    """Return what an agent thought, newest first."""
    services: Services = request.app.state.services
    await services.limits.history(caller.account_id)
    await check_owner(services, agent_id, caller)
    found = await thoughts.newest(services.engine, agent_id, before=before, limit=limit + 1)
    page = [shown(thought) for thought in found[:limit]]
    return Thoughts(agent_id=agent_id, thoughts=page, next=page[-1].entry_id if len(found) > limit else None)


async def _place(services: Services, agent_id: str) -> tuple[str | None, int]:
    """Return the chunk in which the agent is, and the tick of its record, as Redis has them."""
    found = cast(list[Any], await services.batch.command("HMGET", keys.agent(agent_id), "chunk", "at"))
    chunk, tick = (value.decode() if value else "" for value in found)
    return chunk or None, int(tick) if tick.isdigit() else 0
