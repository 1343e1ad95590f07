"""The MCP server of a gateway: the tools of ``chunkcrawl.mcp.tools``, and those by which an agent is chosen.

Imports the package ``mcp``, which takes a third of a second of CPU and 25 MB; ``cluster.hosted.endpoint`` loads this
with the first request.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from mcp.types import ToolAnnotations
from pydantic import Field
from starlette.types import ASGIApp

from api.accounts.auth import RedisCalls
from api.middleware import BODY_MAX_BYTES
from chunkcrawl.errors import ChunkcrawlError
from chunkcrawl.mcp.answer import Answer
from chunkcrawl.mcp.toolbox import ToolProgress
from chunkcrawl.mcp.tools import INSTRUCTIONS, LOOKS, Answered, answered, create_tool_server
from cluster.hosted.in_process import in_process_api
from cluster.hosted.players import ModelCaller, Players
from cluster.hosted.sessions import ModelSessions
from config.settings import Settings
from streaming.hub import Hub

__all__ = ["CALLER", "ModelServer"]

#: Where a request's ``ModelCaller`` stands in ``scope["state"]``.
CALLER: Final = "mcp_caller"
AGENTS_SHOWN: Final = 50

HOSTED_INSTRUCTIONS: Final = f"Call play_as first, with an agent of your account or a new name.\n{INSTRUCTIONS}"

AgentId = Annotated[
    str,
    Field(
        description="1..128 of A-Z a-z 0-9 _ . -; a new name makes a new agent.", pattern=r"^[A-Za-z0-9_.\-]{1,128}$"
    ),
]
CHOOSES: Final = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True)


class _Desk:
    """Carries calls out for the session that they came with."""

    def __init__(self, app: ASGIApp, players: Players) -> None:
        self._app = app
        self._players = players

    async def call(
        self, context: Context[Any, Any], tool: str, arguments: dict[str, Any], progress: ToolProgress
    ) -> Answer:
        request = context.request_context.request
        assert request is not None, "over HTTP there is one"
        caller: ModelCaller = request.scope["state"][CALLER]
        if tool == "play_as":
            return await self._players.choose(caller, arguments["agent_id"])
        if tool == "agents":
            return await self._agents(caller)
        return await self._players.call(caller, context.request_id, tool, arguments, progress)

    async def _agents(self, caller: ModelCaller) -> Answer:
        api = in_process_api(self._app, caller.peer)
        try:
            found = [str(one["agent_id"]) for one in await api.agents(auth=caller.api_key)]
        except ChunkcrawlError as error:
            return Answer(f"{error.reason}: {error}", {"ok": False, "reason": error.reason})
        finally:
            await api.http.aclose()
        more = f" and {len(found) - AGENTS_SHOWN} more" if len(found) > AGENTS_SHOWN else ""
        text = f"Your agents: {', '.join(found[:AGENTS_SHOWN])}{more}." if found else "You have no agent yet."
        return Answer(f"{text} play_as takes one of them or a new name.", {"ok": True, "reason": "ok"})


class ModelServer:
    """What answers the requests of models, once they are let in: ``players`` carries their calls out."""

    def __init__(self, app: ASGIApp, redis: RedisCalls, hub: Hub, settings: Settings) -> None:
        self.sessions = ModelSessions(
            redis,
            ttl_s=settings.mcp_session_s,
            account_max=settings.mcp_account_sessions_max,
            most=settings.mcp_sessions_max,
        )
        self.players = Players(app, redis, hub, self.sessions, most=settings.mcp_agents_max, idle_s=settings.mcp_idle_s)
        self._server = _with_choosing(_Desk(app, self.players))
        # What the library checks by itself is checked by ``cluster.hosted.endpoint`` before.
        self._server.streamable_http_app(
            stateless_http=True,
            max_request_body_size=BODY_MAX_BYTES,
            transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        )
        self.manager = self._server.session_manager


def _with_choosing(desk: _Desk) -> MCPServer:
    server = create_tool_server(desk, instructions=HOSTED_INSTRUCTIONS)

    @server.tool(annotations=CHOOSES)
    async def play_as(context: Context[Any, Any], agent_id: AgentId) -> Answered:
        """Choose which agent you play from now on; tells where it is. Whoever else played it stops."""
        return await answered(desk, context, "play_as", agent_id=agent_id)

    @server.tool(annotations=LOOKS)
    async def agents(context: Context[Any, Any]) -> Answered:
        """List the agents of your account."""
        return await answered(desk, context, "agents")

    return server
