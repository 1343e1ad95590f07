"""uvicorn's server with our own way of taking connections."""

from __future__ import annotations

import socket
import sys
from functools import partial
from typing import Any

import uvicorn
from uvicorn.config import STARTUP_FAILURE

from api.sockets.acceptor import Acceptor
from api.sockets.connection_limits import Admission
from api.sockets.http_protocol import BoundedHttpProtocol
from api.sockets.new_connection import Host, take

__all__ = ["AcceptingServer"]


class AcceptingServer(uvicorn.Server):
    """``serve(sockets=...)``, as uvicorn's; ``config.http`` is not looked at."""

    def __init__(self, config: uvicorn.Config, admission: Admission) -> None:
        super().__init__(config)
        self._admission = admission

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See ``uvicorn.Server.startup``."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            sys.exit(STARTUP_FAILURE)
        make_http = partial(
            BoundedHttpProtocol,
            self._admission,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        host = Host(self._admission, self.server_state, make_http)
        servers: list[Any] = [Acceptor(one, partial(take, host), backlog=self.config.backlog) for one in sockets or ()]
        self.servers = servers
        self.started = True
