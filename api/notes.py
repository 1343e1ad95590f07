"""Notes that an agent keeps for itself: ``/v1/agents/{agent_id}/notes``, for its owner and itself."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel, Field

from api.accounts.auth import Principal
from api.accounts.principals import OWNERS_REFUSALS, agents_owner, check_owner
from api.errors import ApiError
from api.fields import AgentIdField
from api.responses import refusals
from api.services import Services
from store import notes
from store.notes import NOTES_MAX, Note, NotesFull
from streaming.shared_clock import utc_now

router = APIRouter()

NOTE_MAX_CHARS: Final = 500
NAME_MAX_CHARS: Final = 64
NAME_PATTERN: Final = r"^[A-Za-z0-9_.:\-]+$"

NoteName = Annotated[str, Path(max_length=NAME_MAX_CHARS, pattern=NAME_PATTERN)]


class NoteText(BaseModel):
    """What a note says."""

    text: str = Field(min_length=1, max_length=NOTE_MAX_CHARS, pattern=r"^[^\x00]*$")


class NoteInfo(NoteText):
    """A note."""

    name: str
    at: datetime = Field(description="When it was written.")


class Notes(BaseModel):
    """All notes of an agent, written last first."""

    agent_id: str
    notes: list[NoteInfo]
    most: int = Field(description="How many it may have.")


@router.get("/v1/agents/{agent_id}/notes", responses=refusals(*OWNERS_REFUSALS), tags=["accounts"])
async def read_notes(
    agent_id: Annotated[AgentIdField, Path()], request: Request, caller: Annotated[Principal, Depends(agents_owner)]
) -> Notes:
    """Return what an agent wants to remember."""
    services: Services = request.app.state.services
    await services.limits.history(caller.account_id)
    await check_owner(services, agent_id, caller)
    found = await notes.of(services.engine, agent_id)
    listed = [NoteInfo(name=note.name, text=note.text, at=note.at) for note in found]
    return Notes(agent_id=agent_id, notes=listed, most=NOTES_MAX)


@router.put(
    "/v1/agents/{agent_id}/notes/{name}",
    responses=refusals(*OWNERS_REFUSALS, "banned", "notes_full"),
    tags=["accounts"],
)
async def write_note(
    agent_id: Annotated[AgentIdField, Path()],
    name: NoteName,
    body: NoteText,
    request: Request,
    caller: Annotated[Principal, Depends(agents_owner)],
) -> NoteInfo:
    """Write a note, over the one of that name if there is one."""
    services: Services = request.app.state.services
    await services.limits.writings(caller.account_id)
    await check_owner(services, agent_id, caller)
    await services.bans.check(caller.account_id, agent_id)
    note = Note(name, body.text, utc_now())
    try:
        await notes.put(services.engine, agent_id, note)
    except NotesFull as error:
        raise ApiError(error.reason) from None
    return NoteInfo(name=note.name, text=note.text, at=note.at)


@router.delete(
    "/v1/agents/{agent_id}/notes/{name}", responses=refusals(*OWNERS_REFUSALS, "note_not_found"), tags=["accounts"]
)
async def forget_note(
    agent_id: Annotated[AgentIdField, Path()],
    name: NoteName,
    request: Request,
    caller: Annotated[Principal, Depends(agents_owner)],
) -> dict[str, str]:
    """Forget a note."""
    services: Services = request.app.state.services
    await services.limits.writings(caller.account_id)
    await check_owner(services, agent_id, caller)
    if not await notes.forget(services.engine, agent_id, name):
        raise ApiError("note_not_found")
    return {"forgotten": name}
