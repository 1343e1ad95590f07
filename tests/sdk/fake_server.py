"""A small server that speaks the contract, for the shell's tests: real sockets, no world behind them.

It checks signature and proof by its own reckoning, keeps the agent's events for resumes, and does as it is told about
failures: every ``faults`` entry is used up by the command it hits.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from chunkcrawl.transport.http import Api
from tests.sdk.builders import delta, static

SECRET = "s\u00e9cret"


class FakeServer:
    """The state of the server; ``running`` starts it."""

    def __init__(self) -> None:
        self.base = ""
        self.difficulty = 1
        #: What to do to the next commands: ``busy``, ``drop_after_request``, ``drop_before_ack``,
        #: ``drop_before_result``, ``silent``, ``block``, ``mute``, ``ban``, ``occupied``, ``unreachable``,
        #: ``lose_result``, ``lose_history`` (the line breaks after the ack, and when it is back the server knows
        #: nothing of what was).
        self.faults: list[str] = []
        #: HTTP statuses with which the next handshakes are refused.
        self.refuse_sockets: list[int] = []
        #: The commands that were carried out, in order.
        self.commands: list[dict[str, Any]] = []
        self.resumes: list[str | None] = []
        self.sessions = 0
        self.live_tokens: set[str] = set()
        self.refreshes = 0
        self.session_lifetime_s = 900
        self.tick = 10
        self.cell = (1, 1)
        self.log: list[str] = []
        self.sockets: list[ServerConnection] = []
        self.harvest_ends = asyncio.Event()
        self.activity = "idle"
        self.strikes_left = 2
        self.channels = 0
        #: What the agent thought, as (doing, text), and its notes.
        self.thoughts: list[tuple[str | None, str]] = []
        self.notes: dict[str, str] = {}

    # -- HTTP --

    def api(self) -> Api:
        """An HTTP client whose requests end here."""
        return Api(self.base, http=httpx.AsyncClient(transport=httpx.MockTransport(self.handle)))

    def handle(self, request: httpx.Request) -> httpx.Response:
        """Sessions only."""
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if request.url.path == "/v1/sessions" and request.method == "DELETE":
            self.live_tokens.discard(token)
            return httpx.Response(204)
        if request.url.path == "/v1/sessions/refresh":
            if token not in self.live_tokens:
                return httpx.Response(401, json={"detail": "invalid_session"})
            self.refreshes += 1
            return self.dated({"expires_at": self.expiry()})
        if request.url.path.startswith("/v1/agents/"):
            return self.written(request, token)
        if json.loads(request.content)["api_key"] != "dcw_good":
            return httpx.Response(401, json={"detail": "invalid_api_key"})
        self.sessions += 1
        token = f"sess_{self.sessions}"
        self.live_tokens.add(token)
        session = {"session_token": token, "session_jti": f"jti_{self.sessions}", "role": "agent"}
        return self.dated(session | {"cmd_secret": SECRET, "expires_at": self.expiry()})

    def written(self, request: httpx.Request, token: str) -> httpx.Response:
        """Thoughts and notes; the word ``bad`` is banned, and there is room for two notes."""
        if token not in self.live_tokens:
            return httpx.Response(401, json={"detail": "invalid_session"})
        at = "2026-03-01T12:00:00Z"
        *_, what, name = request.url.path.split("/")
        text = json.loads(request.content)["text"] if request.content else ""
        if name == "thoughts":
            if "bad" in text:
                return httpx.Response(403, json={"detail": "banned_words"})
            doing = json.loads(request.content).get("doing")
            self.thoughts.append((doing, text))
            return httpx.Response(201, json={"entry_id": "1-1", "at": at, "text": text, "doing": doing})
        if name == "notes":
            notes = [{"name": key, "text": kept, "at": at} for key, kept in self.notes.items()]
            return httpx.Response(200, json={"notes": notes})
        assert what == "notes"
        if request.method == "DELETE":
            if self.notes.pop(name, None) is None:
                return httpx.Response(404, json={"detail": "note_not_found"})
            return httpx.Response(200, json={"forgotten": name})
        if name not in self.notes and len(self.notes) == 2:
            return httpx.Response(409, json={"detail": "notes_full"})
        self.notes[name] = text
        return httpx.Response(200, json={"name": name, "text": text, "at": at})

    def strike(self) -> dict[str, int]:
        """What the ack of a message with banned words says besides."""
        self.strikes_left -= 1
        return {"strikes_left": self.strikes_left} | ({"muted_ms": 600_000} if self.strikes_left == 0 else {})

    def expiry(self) -> float:
        """By a clock that is years off: only the difference to the ``Date`` header counts."""
        return 1_000_000_000 + self.session_lifetime_s

    def dated(self, body: dict[str, Any]) -> httpx.Response:
        """An answer at second 1,000,000,000."""
        return httpx.Response(200, json=body, headers={"date": "Sun, 09 Sep 2001 01:46:40 GMT"})

    # -- sockets --

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FakeServer]:
        """Listen on a free port of 127.0.0.1."""
        async with serve(self.socket, "127.0.0.1", 0, process_request=self.gate, close_timeout=0.2) as server:
            host, port = next(iter(server.sockets)).getsockname()[:2]
            self.base = f"http://{host}:{port}"
            yield self
            self.harvest_ends.set()

    def gate(self, socket: ServerConnection, request: Request) -> Response | None:
        """Refuse handshakes as told, and dead sessions."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.refuse_sockets:
            status = self.refuse_sockets.pop(0)
        elif token not in self.live_tokens:
            status = 401
        else:
            return None
        reason = {401: "invalid_session", 403: "agent_not_owned", 503: "not_ready"}[status]
        return socket.respond(HTTPStatus(status), json.dumps({"detail": reason}))

    async def socket(self, socket: ServerConnection) -> None:
        """One agent's connection."""
        assert socket.request is not None
        last = parse_qs(urlsplit(socket.request.path).query).get("last_event_id", [None])[0]
        self.resumes.append(last)
        self.sockets.append(socket)
        self.channels += 1
        token = socket.request.headers["Authorization"].removeprefix("Bearer sess_")
        speaker = Speaker(self, socket, f"ch_{self.channels}", f"jti_{token}")
        try:
            await speaker.open(last)
            async for frame in socket:
                await speaker.hear(json.loads(frame))
        except ConnectionClosed:
            return


class Speaker:
    """The server's side of one connection."""

    def __init__(self, server: FakeServer, socket: ServerConnection, channel: str, jti: str) -> None:
        self.server, self.socket, self.channel, self.jti = server, socket, channel, jti
        self.asked: dict[str, dict[str, Any]] = {}
        self.harvesting: asyncio.Task[None] | None = None

    async def say(self, kind: str, payload: dict[str, Any], event_id: str | None = None) -> None:
        """Send an event; one with an id is kept for resumes, whether it arrives or not."""
        message = {"type": kind, "trace_id": "t", "server_ts_ms": 1, "payload": payload}
        text = json.dumps(message | ({"event_id": event_id} if event_id else {}))
        if event_id:
            self.server.log.append(text)
        if not self.socket.transport.is_closing():
            await self.socket.send(text)

    async def lasting(self, kind: str, payload: dict[str, Any]) -> None:
        """An event of the agent's stream."""
        await self.say(kind, payload, f"e-{len(self.server.log) + 1}")

    async def open(self, last: str | None) -> None:
        """Ready, terrain, state, and what was missed."""
        ready = {"agent_id": "scout", "channel_id": self.channel, "role": "agent", "chunk_id": "chunk-0"}
        await self.say("session_ready", ready | {"resumed": last is not None})
        known = int(last[2:]) if last else 0
        if known > len(self.server.log):
            await self.say("resync_required", {"chunk_id": "chunk-0", "reason": "unknown_event_id"})
        await self.say("chunk_static", static())
        await self.state()
        for text in self.server.log[known:]:
            await self.socket.send(text)

    async def state(self) -> None:
        """The present delta."""
        x, y = self.server.cell
        me = {"id": "scout", "x": x, "y": y, "activity_state": self.server.activity}
        await self.say("chunk_delta", delta(self.server.tick, agents=[me]))

    async def hear(self, message: dict[str, Any]) -> None:
        """A frame of the client's."""
        payload = message["payload"]
        if message["type"] == "ping":
            await self.say("heartbeat", {})
        elif message["type"] == "command_req":
            await self.requested(payload)
        else:
            await self.answered(payload)

    async def requested(self, payload: dict[str, Any]) -> None:
        """Challenge it, or fail it as told."""
        name = payload["client_cmd_id"]
        fault = self.server.faults[0] if self.server.faults else None
        if fault in ("busy", "mute"):
            self.server.faults.pop(0)
            wait_ms = 20 if fault == "busy" else 600_000
            reason = "busy" if fault == "busy" else "rate_limited"
            refused = {"client_cmd_id": name, "accepted": False, "reason": reason, "retry_after_ms": wait_ms}
            refused |= {"code": "muted"} if fault == "mute" else {}
            await self.lasting("command_ack", refused)
        elif fault == "drop_after_request":
            self.server.faults.pop(0)
            self.socket.transport.abort()
        elif fault == "silent":
            self.server.faults.pop(0)
        else:
            challenge = {
                "client_cmd_id": name,
                "server_cmd_id": f"s-{name}",
                "nonce": f"n-{name}",
                "expires_at": 1_700_000_000_000,
                "difficulty": self.server.difficulty,
                "channel_id": self.channel,
            }
            self.asked[f"s-{name}"] = challenge | {"cmd": payload["cmd"]}
            await self.lasting("command_challenge", challenge)

    def wrong(self, asked: dict[str, Any], payload: dict[str, Any]) -> bool:
        """Whether signature or proof do not match, by the contract's words."""
        text = json.dumps(asked["cmd"], sort_keys=True, separators=(",", ":"))
        cmd_hash = hashlib.sha256(text.encode()).hexdigest()
        fields = ["v1", self.jti, self.channel, "scout", asked["server_cmd_id"], asked["client_cmd_id"], cmd_hash]
        signed = "|".join([*fields, asked["nonce"], str(asked["expires_at"]), str(asked["difficulty"])])
        mac = hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).digest()
        proof = f"{asked['nonce']}|{cmd_hash}|{payload['proof']['proof_nonce']}"
        work = hashlib.sha256(proof.encode()).hexdigest()
        sig = base64.urlsafe_b64encode(mac).decode().rstrip("=")
        return payload["sig"] != sig or not work.startswith("0" * asked["difficulty"])

    async def answered(self, payload: dict[str, Any]) -> None:
        """Ack and result; where the line is cut, both are kept for the resume."""
        asked = self.asked.pop(payload["server_cmd_id"])
        names = {"client_cmd_id": asked["client_cmd_id"], "server_cmd_id": asked["server_cmd_id"]}
        if self.wrong(asked, payload):
            await self.lasting("command_ack", names | {"accepted": False, "reason": "auth_failed"})
            return
        fault = self.server.faults.pop(0) if self.server.faults else None
        if fault == "drop_before_ack":
            self.socket.transport.abort()
        if fault == "ban":
            banned = {"accepted": False, "reason": "invalid_cmd", "code": "banned_words"}
            await self.lasting("command_ack", names | banned | self.server.strike())
            return
        if fault in ("occupied", "unreachable"):
            at = {"x": asked["cmd"]["x"], "y": asked["cmd"]["y"]}
            why = {"detail": "occupied", "blocked_at": at, "blocker": {"id": "bob"} | at} if fault == "occupied" else {}
            await self.lasting("command_ack", names | {"accepted": False, "reason": "unreachable"} | why)
            return
        await self.lasting("command_ack", names | {"accepted": True, "started_tick": self.server.tick + 1})
        self.server.commands.append(asked["cmd"])
        if fault in ("lose_result", "lose_history"):
            if fault == "lose_history":
                self.server.log.clear()
                self.socket.transport.abort()
            return
        if fault == "drop_before_result":
            self.socket.transport.abort()
        if asked["cmd"]["type"] == "harvest":
            self.harvesting = asyncio.create_task(self.harvested(asked["cmd"], names))
        else:
            await self.ended(asked["cmd"], names, fault)

    async def harvested(self, cmd: dict[str, Any], names: dict[str, Any]) -> None:
        """A harvest goes on beside the next commands."""
        self.server.activity = "harvesting"
        self.server.tick += 1
        await self.state()
        await self.server.harvest_ends.wait()
        self.server.activity = "idle"
        await self.ended(cmd, names, None)

    async def ended(self, cmd: dict[str, Any], names: dict[str, Any], fault: str | None) -> None:
        """The result, then the delta of its tick: the order that hurts a client which trusts in one."""
        self.server.tick += 1
        end: dict[str, Any] = {"status": "completed", "ended_tick": self.server.tick}
        if fault == "block":
            blocker = {"id": "other", "x": cmd["x"], "y": cmd["y"]}
            end |= {"status": "failed", "reason": "blocked", "blocked_at": {"x": cmd["x"], "y": cmd["y"]}}
            end |= {"blocker": blocker}
        elif cmd["type"] == "harvest":
            end |= {"reason": "node_depleted", "node_id": cmd["node_id"], "amount": 4}
        elif cmd["type"] == "move_to":
            self.server.cell = (cmd["x"], cmd["y"])
        await self.lasting("command_result", names | end)
        await self.state()
