"""``/mcp``, added to a gateway's app."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.routing import Route

from api.services import Services
from cluster.hosted.endpoint import PATH, ModelEndpoint

__all__ = ["mount_models"]


def mount_models(app: FastAPI, services: Services) -> ModelEndpoint:
    """Add ``/mcp`` to an app that has its event streams; it lives within the app's lifespan.

    The returned ``ModelEndpoint`` is there for ``drain``, which must come before that of the streams.
    """
    endpoint = ModelEndpoint(app, services, app.state.streams)
    app.router.routes.append(Route(PATH, endpoint))
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app_: Any) -> AsyncIterator[Any]:
        async with inner(app_) as state:
            try:
                yield state
            finally:
                await endpoint.close()

    app.router.lifespan_context = lifespan
    return endpoint
