"""Alive, ready, and how things go: for operators and load balancers."""

from __future__ import annotations

import asyncio
import hmac
from typing import Any, Final

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from api.accounts.auth import bearer_token
from api.errors import ApiError
from api.exposition import render, single
from api.responses import NotReadyBody, refusals
from api.services import Services
from config.settings import Settings

log = structlog.get_logger(__name__)

WORLD_METRICS_TIMEOUT_S: Final = 2.5
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
GATHERED: Final = render([single("metrics_gathered", "gauge", "1 when the cluster's metrics are in this page.", 1)])
NOT_GATHERED: Final = render([single("metrics_gathered", "gauge", "1 when the cluster's metrics are in this page.", 0)])
DRAINING: Final = "draining"

router = APIRouter(tags=["operations"])


class Status(BaseModel):
    """Whether a gateway lives."""

    status: str


NOT_READY: Final[dict[int | str, dict[str, Any]]] = {503: {"model": NotReadyBody, "description": "`not_ready`"}}


@router.get("/healthz", responses=refusals())
async def healthz() -> Status:
    """Say that this process answers.  A lost dependency does not change it, so nobody restarts for one."""
    return Status(status="ok")


@router.get("/readyz", response_model=Status, responses=refusals() | NOT_READY)
async def readyz(request: Request) -> JSONResponse:
    """Say whether database, Redis and every shard answer, within a second, and which does not."""
    services: Services = request.app.state.services
    problems = [DRAINING] if services.draining else await services.readiness.problems()
    if problems:
        body = {"detail": "not_ready", "problems": problems}
        return JSONResponse(body, status_code=503, headers={"retry-after": "1"})
    return JSONResponse({"status": "ready"})


@router.get(
    "/metrics",
    response_class=Response,
    responses=refusals("invalid_session", "invalid_scope") | {200: {"content": {"text/plain": {}}}},
)
async def read_metrics(request: Request) -> Response:
    """Return Prometheus metrics of the whole cluster, all gateways and shards, whichever gateway is asked.

    Where a token for it is set, that is wanted (`Authorization: Bearer`); in `prod` nobody gets in without one.
    """
    services: Services = request.app.state.services
    check_metrics_token(services.settings, request.headers.get("authorization"))
    try:
        async with asyncio.timeout(WORLD_METRICS_TIMEOUT_S):
            page = await services.world.metrics() + GATHERED
    except Exception as error:  # whatever is wrong with the world: the page says so
        log.warning("world_metrics_missing", error=type(error).__name__)
        # Not this gateway's own counters alone: next to the sums of all they would look like a restart of everything.
        page = NOT_GATHERED
    return Response(page, media_type=CONTENT_TYPE)


def check_metrics_token(settings: Settings, authorization: str | None) -> None:
    """Raise ``ApiError`` unless whoever sent this header may read metrics."""
    if not settings.metrics_token:
        if settings.is_prod:
            raise ApiError("invalid_scope")
        return
    offered = bearer_token(authorization) or ""
    if not hmac.compare_digest(offered.encode(), settings.metrics_token.encode()):
        raise ApiError("invalid_session")
