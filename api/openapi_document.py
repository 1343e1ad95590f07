"""``/openapi.json``: the HTTP endpoints as the framework describes them, made without holding up those who play."""

from __future__ import annotations

import asyncio

import orjson
from fastapi import APIRouter, FastAPI, Request, Response

__all__ = ["OpenApiDocument", "router"]

router = APIRouter(include_in_schema=False)


class OpenApiDocument:
    """What ``app.openapi()`` gives, as bytes; made once, by the first who asks.

    In a thread: it takes the time of hundreds of commands, and those who play share the event loop.
    """

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._making: asyncio.Task[bytes] | None = None

    async def body(self) -> bytes:
        """Return the document; two who ask at once get the same."""
        if self._making is None:
            self._making = asyncio.create_task(asyncio.to_thread(self._make), name="openapi")
        return await asyncio.shield(self._making)

    def _make(self) -> bytes:
        return orjson.dumps(self._app.openapi())


@router.api_route("/openapi.json", methods=["GET", "HEAD"])
async def document(request: Request) -> Response:
    """Send it."""
    openapi: OpenApiDocument = request.app.state.openapi
    return Response(await openapi.body(), media_type="application/json")
