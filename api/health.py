"""Alive, ready, and how things go: for operators and load balancers."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from api import metrics
from api.responses import NotReady, refusals
from api.services import Services

log = structlog.get_logger(__name__)

WORLD_METRICS_TIMEOUT_S: Final = 0.8
DRAINING: Final = "draining"

router = APIRouter(tags=["operations"])


class Status(BaseModel):
    status: str


NOT_READY: Final[dict[int | str, dict[str, Any]]] = {503: {"model": NotReady, "description": "`not_ready`"}}


@router.get("/healthz", responses=refusals())
async def healthz() -> Status:
    """Alive: this process answers.  A lost dependency does not change it, so nobody restarts for one."""
    return Status(status="ok")


@router.get("/readyz", response_model=Status, responses=refusals() | NOT_READY)
async def readyz(request: Request) -> JSONResponse:
    """Ready: database, Redis and every shard answer.  Says within a second what does not."""
    services: Services = request.app.state.services
    problems = [DRAINING] if services.draining else await services.readiness.problems()
    if problems:
        body = {"detail": "not_ready", "problems": problems}
        return JSONResponse(body, status_code=503, headers={"retry-after": "1"})
    return JSONResponse({"status": "ready"})


@router.get("/metrics", response_class=Response, responses=refusals() | {200: {"content": {"text/plain": {}}}})
async def read_metrics(request: Request) -> Response:
    """Prometheus metrics of this gateway and of the world behind it."""
    services: Services = request.app.state.services
    try:
        async with asyncio.timeout(WORLD_METRICS_TIMEOUT_S):
            of_world = await services.world.metrics()
    except Exception as error:  # the gateway's own metrics must not depend on the world's
        log.warning("world_metrics_missing", error=type(error).__name__)
        of_world = b""
    return Response(metrics.exposition() + of_world, media_type=CONTENT_TYPE_LATEST)
