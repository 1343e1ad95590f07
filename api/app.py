"""The ASGI app of a gateway: ``create_app(services)``.  Knows nothing of how it is served, or of where shards run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from api import (
    agent_profile,
    chunks,
    console_page,
    dev,
    docs_page,
    health,
    history,
    leaderboard,
    notes,
    openapi_document,
    public_watching,
    recent,
    sdk_files,
    thoughts,
    watch_page,
)
from api.accounts import routes as accounts
from api.accounts import session_routes
from api.accounts.early_refusal import refuse_early
from api.handlers import add_handlers
from api.middleware import TRACE_HEADER, RequestGuard
from api.operator import acting as operator_acting
from api.operator import reading as operator_reading
from api.past import agent_path, timeline
from api.past import routes as past
from api.services import Services
from api.sockets.mount import mount

TITLE: Final = "Chunkcrawl"
#: Headers of MCP (``/mcp``), for pages of named origins.
MODEL_SESSION_HEADER: Final = "mcp-session-id"
MODEL_HEADERS: Final = (MODEL_SESSION_HEADER, "mcp-protocol-version", "mcp-method", "mcp-name")


def create_app(services: Services) -> FastAPI:
    """Make the app over ``services``, which it starts and closes with its lifespan."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        services.start()
        yield
        await services.close()

    app = FastAPI(
        title=TITLE,
        version=_version(),
        lifespan=lifespan,
        # The framework's pages need scripts of other servers; ``api.docs_page`` is in their place.
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        # A slash more would redirect with the query in the answer's header; it is a 404 here.
        redirect_slashes=False,
        # Traces are ours (``config.traces``): the framework's have the texts of exceptions and of queries.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.services = services
    app.state.openapi = openapi_document.OpenApiDocument(app)
    add_handlers(app)
    # Routes are tried in this order: those that everybody comes through, again and again, stand first.
    app.include_router(session_routes.router)
    mount(app, services)
    for router in (
        health.router,
        accounts.router,
        history.router,
        thoughts.router,
        notes.router,
        leaderboard.router,
        agent_profile.router,
        recent.router,
        past.router,
        timeline.router,
        agent_path.router,
        dev.router,
        public_watching.router,
        watch_page.router,
        console_page.router,
        sdk_files.router,
        docs_page.router,
        openapi_document.router,
        operator_reading.router,
        operator_acting.router,
    ):
        app.include_router(router)
    for router in (chunks.router, dev.aliased):
        app.include_router(router)
        # Existing pages know these under /api, too.
        app.include_router(router, prefix="/api", include_in_schema=False)
    app.add_middleware(RequestGuard, refuse_early=lambda scope: refuse_early(services.passwords, scope))
    app.add_middleware(
        CORSMiddleware,
        allow_origins=services.settings.allowed_origins,
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=["authorization", "content-type", "last-event-id", TRACE_HEADER, *MODEL_HEADERS],
        expose_headers=["retry-after", TRACE_HEADER, MODEL_SESSION_HEADER],
        max_age=600,
    )
    return app


def _version() -> str:
    try:
        return version("chunkcrawl")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "0"
