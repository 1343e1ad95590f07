"""One gateway: the app of ``api`` under uvicorn on a shared port, with the shards behind its ``World`` port.

No Ray in here: the actor (``cluster.gateway_actor``) hands in how shards are reached.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

import psutil
import structlog
import uvicorn

from api.app import create_app
from api.command_counts import commands_decided, commands_refused
from api.exposition import Family, single
from api.services import Services
from api.sockets.connection_limits import Admission, AdmissionRules
from api.sockets.frame_protocol import FrameProtocol
from api.sockets.listening import BACKLOG, shared_socket
from api.sockets.open_files import FILES_KEPT, raise_open_files
from api.sockets.server import AcceptingServer
from api.sockets.socket_options import await_first_bytes, bound_unsent, find_dead_peers
from api.sockets.streams import Streams
from cluster.hosted.mount import mount_models
from cluster.operating import ClusterOperating
from cluster.peers import ClusterClient, ShardClient
from cluster.router import Router
from config.networks import parse_networks
from config.settings import Settings
from config.traces import Tracing
from streaming import keys
from streaming.batch import RedisBatch
from streaming.connect import connect

log = structlog.get_logger(__name__)

#: Frames above this are cut off by the server with 1009; up to it the app itself refuses what is over 16 KiB.
FRAME_MOST_BYTES: Final = 64 * 1024

#: How long a peer may take to answer a ping; together with the ping interval this stays under 40 s.
PONG_TIMEOUT_S: Final = 20.0

#: Of how many chunks, those with the most readers, a gateway says how many watch.
WATCHED_SHOWN: Final = 200

#: How long an answer may take to be made and read, and a handshake to be accepted; not for sockets and streams.
ANSWER_S: Final = 60.0
#: The part of the time to stop that is left for the last connections and the server itself after the window.
DRAIN_MARGIN_S: Final = 4.0


class GatewayServer:
    """``serve`` runs until ``stop``; a gateway keeps nothing that another can't rebuild."""

    def __init__(
        self, settings: Settings, peers: ShardClient, cluster: ClusterClient, tracing: Tracing | None = None
    ) -> None:
        self._settings = settings
        self._process = psutil.Process()
        self._redis = connect(settings.redis_url)
        self._batch = RedisBatch(self._redis)
        self._router = Router(
            self._redis, self._batch, peers, spawn_capacity=settings.spawn_chunk_capacity, cluster=cluster
        )
        self.services = Services.build(
            settings,
            self._router,
            redis=self._redis,
            batch=self._batch,
            tracing=tracing,
            operating=ClusterOperating(self._redis, settings),
        )
        app = create_app(self.services)
        self._streams: Streams = app.state.streams
        self._models = mount_models(app, self.services)
        self.admission = Admission(admission_rules(settings), parse_networks(settings.trusted_proxies))
        self._server = AcceptingServer(
            uvicorn.Config(
                app,
                backlog=min(BACKLOG, self.admission.rules.waiting),
                ws=FrameProtocol,
                ws_max_size=FRAME_MOST_BYTES,
                ws_ping_interval=settings.heartbeat_s,
                ws_ping_timeout=min(PONG_TIMEOUT_S, settings.dead_after_s - settings.heartbeat_s),
                ws_per_message_deflate=False,
                timeout_keep_alive=settings.keep_alive_s,
                timeout_graceful_shutdown=max(1, settings.drain_s),
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,
                lifespan="on",
            ),
            self.admission,
        )

    @property
    def started(self) -> bool:
        """Whether it takes connections."""
        return self._server.started

    async def serve(self) -> None:
        """Listen and serve until ``stop``.

        Raises:
            OSError: the port is taken by somebody who does not share it.
        """
        listening = shared_socket(self._settings.host, self._settings.port)
        find_dead_peers(listening, self._settings.dead_after_s, self._settings.heartbeat_s)
        bound_unsent(listening)
        await_first_bytes(listening)
        try:
            await self._server.serve(sockets=[listening])
        finally:
            listening.close()
            await self._router.close()
            await self._batch.close()
            await self._redis.aclose()

    async def stop(self) -> None:
        """Drain: no new connections, readers told to come back, then the end; within ``drain_s``."""
        self.services.draining = True
        for listener in self._server.servers:
            listener.close()  # at once, or the kernel would go on giving this gateway its share of new connections
        began = time.monotonic()
        await self._models.drain()  # before the streams: its agents' sockets are among them
        spent_s = time.monotonic() - began
        await self._streams.drain(max(0.0, self._settings.drain_s - DRAIN_MARGIN_S - spent_s))
        self._server.should_exit = True

    def queues(self) -> list[Family]:
        """Return how much waits now, and for what."""
        return [
            single("shard_calls_waiting", "gauge", "Commands and joins that wait for a call.", self._router.waiting),
            single("redis_calls_waiting", "gauge", "Commands that wait to be sent to Redis.", self._redis_waiting),
            single(
                "reader_events_waiting",
                "gauge",
                "Events in the queues of readers.",
                self._streams.connections.waiting,
            ),
        ]

    @property
    def _redis_waiting(self) -> int:
        return len(self._batch) + len(self.services.batch)

    def describe(self) -> dict[str, Any]:
        """Return figures for status."""
        return {
            "started": self.started,
            "draining": self.services.draining,
            "connections": len(self._streams.connections),
            "models": self._models.players,
            "watchers": self._streams.hub.readers_of(keys.CHUNK_STREAM_PREFIX, WATCHED_SHOWN),
            "decided": commands_decided(),
            "refused": commands_refused(),
            "cpu": self._process.cpu_percent() / 100,
        }


def admission_rules(settings: Settings) -> AdmissionRules:
    """Return what the settings, and the files that this process may open, allow; raise that number if possible."""
    files = raise_open_files()
    room = max(files // 2, files - FILES_KEPT)
    return AdmissionRules(
        connections=min(settings.connections_max or room, room),
        address_waiting=settings.address_waiting_max,
        receive_s=settings.request_timeout_s,
        answer_s=ANSWER_S,
    )


async def wait_started(server: GatewayServer, poll_s: float = 0.02) -> None:
    """Return once the server takes connections."""
    while not server.started:
        await asyncio.sleep(poll_s)
