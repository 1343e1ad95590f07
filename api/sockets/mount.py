"""The endpoints of event streams and sockets, added to a gateway's app."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from api.services import Services
from api.sockets import agent_socket, owner, spectate
from api.sockets.operator_orders import OperatorOrders
from api.sockets.streams import Streams


def mount(app: FastAPI, services: Services) -> Streams:
    """Add the endpoints, and let their parts live within the app's lifespan.

    The returned ``Streams`` (also ``app.state.streams``) is there for ``drain`` before the server stops.  An app that
    has them already keeps those.
    """
    mounted: Streams | None = getattr(app.state, "streams", None)
    if mounted is not None:
        return mounted
    streams = Streams(services.redis, services.batch, services.auth, services.settings)
    orders = OperatorOrders(streams.hub, streams.connections, services.bans)
    app.state.streams = streams
    for router in (agent_socket.router, owner.router, spectate.router, spectate.aliased):
        app.include_router(router)
    app.include_router(spectate.aliased, prefix="/api", include_in_schema=False)
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app_: Any) -> AsyncIterator[Any]:
        async with inner(app_) as state:
            streams.start()
            orders.start()
            try:
                yield state
            finally:
                orders.close()
                await streams.close()

    app.router.lifespan_context = lifespan
    return streams
