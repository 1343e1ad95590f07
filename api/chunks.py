"""A chunk's present state over HTTP, for a resync (contract, "Endpoints")."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel

from api.auth import Session, require
from api.errors import ApiError
from api.ids import CHUNK_ID_PATTERN, is_chunk_id
from api.responses import refusals
from api.services import Services
from streaming.snapshot import read_snapshot

DEMO_CHUNK = "demo"
FIRST_CHUNK_ID = "chunk-0"

router = APIRouter()


class ChunkSnapshot(BaseModel):
    chunk_static: dict[str, Any]
    latest_delta: dict[str, Any] | None


@router.get(
    "/v1/chunks/{chunk_id}/snapshot",
    response_model=ChunkSnapshot,
    responses=refusals("invalid_session", "chunk_not_found"),
    tags=["chunks"],
)
async def snapshot(
    chunk_id: Annotated[str, Path(max_length=64, json_schema_extra={"pattern": CHUNK_ID_PATTERN})],
    request: Request,
    _: Annotated[Session, Depends(require())],
) -> Response:
    """The chunk's static and its newest delta, both of one moment.  ``demo`` is ``chunk-0``."""
    services: Services = request.app.state.services
    wanted = FIRST_CHUNK_ID if chunk_id == DEMO_CHUNK else chunk_id
    found = await read_snapshot(services.redis, wanted) if is_chunk_id(wanted) else None
    if found is None:
        raise ApiError("chunk_not_found")
    # The bytes that readers of the stream get, as they are.
    return Response(found.json(), media_type="application/json", headers={"cache-control": "no-store"})
