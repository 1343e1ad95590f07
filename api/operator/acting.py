"""What operators may do: every call of ``/v1/operator`` that is no GET, for the role ``operator``.

Each has its line in the audit log before it is tried (``api.operator.gate``).  Here is what is done, and the sentence
that says what was.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Path, Request

from api.errors import ApiError
from api.fields import AgentIdField, ChunkIdPath
from api.operator import models
from api.operator.callers import operator_token
from api.operator.console import console_of
from api.operator.gate import OperatorRoute, audit_id_of, caller_of, leave_open
from api.operator.models import BACKUP_NAME_PATTERN
from api.operator.port import JobKind
from api.operator.reading import GATE
from api.operator.revoking import revoke_sessions
from api.operator.rows import ban_row, standing_row
from api.responses import refusals
from api.services import Services
from store import accounts, agents, bans, operators
from store.bans import BanKind, BanLimitReached
from streaming import keys
from streaming.frozen import WORLD, TooMuchFrozen, freeze, thaw
from streaming.shared_clock import now_ms

MS_PER_MINUTE: Final = 60_000

router = APIRouter(prefix="/v1/operator", tags=["operators"], route_class=OperatorRoute, dependencies=[operator_token])

AgentIdPath = Annotated[AgentIdField, Path()]
AccountIdPath = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_]+$")]
Name = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.\-]+$")]
BackupPath = Annotated[str, Path(max_length=64, pattern=BACKUP_NAME_PATTERN)]


# -- agents and accounts --


@router.post(
    "/agents/{agent_id}/mute", response_model=models.DoneStanding, responses=refusals(*GATE, "agent_not_found")
)
async def mute(agent_id: AgentIdPath, body: models.MuteRequest, request: Request) -> dict[str, Any]:
    """Keep an agent from talking for a while, from now on; it goes on playing."""
    await _check_agent(request, agent_id)
    await _services(request).strikes.mute(agent_id, round(body.minutes * MS_PER_MINUTE))
    return await _done_standing(request, agent_id, f"{agent_id} is muted for {body.minutes:g} min.")


@router.post(
    "/agents/{agent_id}/unmute", response_model=models.DoneStanding, responses=refusals(*GATE, "agent_not_found")
)
async def unmute(agent_id: AgentIdPath, request: Request, _: models.Nothing | None = None) -> dict[str, Any]:
    """Let an agent talk again, and forget its strikes."""
    await _check_agent(request, agent_id)
    await _services(request).strikes.unmute(agent_id)
    return await _done_standing(request, agent_id, f"{agent_id} may talk again.")


@router.post(
    "/agents/{agent_id}/ban",
    response_model=models.DoneBan,
    responses=refusals(*GATE, "agent_not_found", "ban_limit_reached"),
)
async def ban_agent(agent_id: AgentIdPath, body: models.BanRequest, request: Request) -> dict[str, Any]:
    """Keep an agent out: no session, no socket; those that are open are closed within seconds."""
    await _check_agent(request, agent_id)
    return await _ban(request, "agent", agent_id, body)


@router.post("/agents/{agent_id}/unban", response_model=models.ActionDone, responses=refusals(*GATE, "not_banned"))
async def unban_agent(agent_id: AgentIdPath, request: Request, _: models.Nothing | None = None) -> dict[str, Any]:
    """End an agent's ban."""
    return await _unban(request, "agent", agent_id)


@router.post(
    "/accounts/{account_id}/ban",
    response_model=models.DoneBan,
    responses=refusals(*GATE, "account_not_found", "ban_limit_reached"),
)
async def ban_account(account_id: AccountIdPath, body: models.BanRequest, request: Request) -> dict[str, Any]:
    """Keep an account and all of its agents out."""
    await _check_account(request, account_id)
    return await _ban(request, "account", account_id, body)


@router.post("/accounts/{account_id}/unban", response_model=models.ActionDone, responses=refusals(*GATE, "not_banned"))
async def unban_account(account_id: AccountIdPath, request: Request, _: models.Nothing | None = None) -> dict[str, Any]:
    """End an account's ban."""
    return await _unban(request, "account", account_id)


@router.post(
    "/agents/{agent_id}/disconnect", response_model=models.ActionDone, responses=refusals(*GATE, "agent_not_found")
)
async def disconnect(agent_id: AgentIdPath, request: Request, _: models.Nothing | None = None) -> dict[str, Any]:
    """Close whatever plays or follows an agent, on all gateways; it may come back."""
    await _check_agent(request, agent_id)
    await _order(request, b"disconnect " + agent_id.encode())
    return _done(request, f"Sockets and streams of {agent_id} are closed; it may come back.")


@router.post(
    "/agents/{agent_id}/revoke-sessions",
    response_model=models.DoneRevoked,
    responses=refusals(*GATE, "agent_not_found"),
)
async def revoke_sessions_of_agent(
    agent_id: AgentIdPath, request: Request, _: models.Nothing | None = None
) -> dict[str, Any]:
    """End all sessions that are for an agent; with its API key it may open another."""
    await _check_agent(request, agent_id)
    count = await revoke_sessions(_services(request), account_id=None, agent_id=agent_id)
    return {**_done(request, f"{count} sessions of {agent_id} are ended."), "revoked": count}


@router.post(
    "/accounts/{account_id}/revoke-sessions",
    response_model=models.DoneRevoked,
    responses=refusals(*GATE, "account_not_found"),
)
async def revoke_sessions_of_account(
    account_id: AccountIdPath, request: Request, _: models.Nothing | None = None
) -> dict[str, Any]:
    """End all sessions of an account; with an API key it may open others."""
    await _check_account(request, account_id)
    count = await revoke_sessions(_services(request), account_id=account_id, agent_id=None)
    return {**_done(request, f"{count} sessions of {account_id} are ended."), "revoked": count}


# -- the world --


@router.post(
    "/chunks/{chunk_id}/freeze",
    response_model=models.DoneChanged,
    responses=refusals(*GATE, "chunk_not_found", "refused"),
)
async def freeze_chunk(chunk_id: ChunkIdPath, request: Request, _: models.Nothing | None = None) -> dict[str, Any]:
    """Let a chunk stand still: no tick, no command, nobody in or out, until it is thawed."""
    if not await _services(request).batch.command("SISMEMBER", keys.CHUNKS, chunk_id):
        raise ApiError("chunk_not_found")
    return await _freeze(request, chunk_id, f"{chunk_id} stands still until it is thawed.")


@router.post("/chunks/{chunk_id}/thaw", response_model=models.DoneChanged, responses=refusals(*GATE))
async def thaw_chunk(chunk_id: ChunkIdPath, request: Request, _: models.Nothing | None = None) -> dict[str, Any]:
    """Let a chunk go on."""
    return await _thaw(request, chunk_id, f"{chunk_id} goes on.")


@router.post("/world/freeze", response_model=models.DoneChanged, responses=refusals(*GATE, "refused"))
async def freeze_world(request: Request, _: models.Nothing | None = None) -> dict[str, Any]:
    """Let the whole world stand still: no tick, no command, until it is thawed."""
    return await _freeze(request, WORLD, "The world stands still until it is thawed.")


@router.post("/world/thaw", response_model=models.DoneChanged, responses=refusals(*GATE))
async def thaw_world(request: Request, _: models.Nothing | None = None) -> dict[str, Any]:
    """Let the world go on; chunks that were frozen by themselves stay so."""
    return await _thaw(request, WORLD, "The world goes on.")


@router.post("/announce", response_model=models.ActionDone, responses=refusals(*GATE))
async def announce(body: models.AnnounceRequest, request: Request) -> dict[str, Any]:
    """Tell everybody who is connected a line."""
    await _notice(request, "announcement", body.text, None)
    return _done(request, "Everybody who is connected is told.")


# -- the cluster --


@router.post("/scale", response_model=models.ActionDone, responses=refusals(*GATE, "refused"))
async def scale(body: models.ScaleRequest, request: Request) -> dict[str, Any]:
    """Change the number of shards while agents play; it goes on by itself."""
    console = console_of(request)
    await console.figures.operating.scale(await console.figures.status(), body.shards)
    return _done(request, f"There are to be {body.shards} shards; chunks are handed over one by one.")


@router.post("/rebalance", response_model=models.ActionDone, responses=refusals(*GATE, "refused"))
async def rebalance(request: Request, _: models.Nothing | None = None) -> dict[str, Any]:
    """Balance at once, whatever has moved of late."""
    console = console_of(request)
    if not (await console.figures.status()).get("balance", {}).get("on"):
        raise ApiError("refused", words="balancing is off (CHUNKCRAWL_BALANCE): chunks go where their names belong")
    await console.figures.operating.rebalance()
    return _done(request, "The next pass of the coordinator, within seconds, balances as far as it helps.")


@router.post("/pins/{name}", response_model=models.DoneChanged, responses=refusals(*GATE, "refused"))
async def pin(name: Name, request: Request, _: models.Nothing | None = None) -> dict[str, Any]:
    """Keep a chunk where it is, or all chunks of a shard there and others away from it."""
    changed = await console_of(request).figures.operating.pin(name)
    return {**_done(request, f"{name} stays where it is."), "changed": changed}


@router.delete("/pins/{name}", response_model=models.DoneChanged, responses=refusals(*GATE))
async def unpin(name: Name, request: Request) -> dict[str, Any]:
    """Let a chunk or a shard be balanced again."""
    changed = await console_of(request).figures.operating.unpin(name)
    return {**_done(request, f"{name} may move again."), "changed": changed}


@router.post(
    "/nodes/{node_id}/drain", response_model=models.ActionDone, responses=refusals(*GATE, "node_not_found", "refused")
)
async def drain(node_id: Name, request: Request, _: models.Nothing | None = None) -> dict[str, Any]:
    """Move all that runs on a node to others while agents play, and keep it off; it goes on by itself."""
    console = console_of(request)
    chosen = await console.figures.operating.drain(await console.figures.status(), node_id)
    return _done(request, f"{chosen} is being emptied, and stays so until it is undrained.")


@router.post(
    "/nodes/{node_id}/undrain", response_model=models.ActionDone, responses=refusals(*GATE, "node_not_found", "refused")
)
async def undrain(node_id: Name, request: Request, _: models.Nothing | None = None) -> dict[str, Any]:
    """Let the world use a node again, for what is started from now on."""
    console = console_of(request)
    chosen = await console.figures.operating.undrain(await console.figures.status(), node_id)
    return _done(request, f"{chosen} may be used again.")


# -- backups and checks --


@router.post("/backups", status_code=202, response_model=models.DoneJob, responses=refusals(*GATE, "refused"))
async def back_up(body: models.BackupRequest, request: Request) -> dict[str, Any]:
    """Begin a backup of database and world, on the machine of the gateway that answers; `jobs` has how far it is."""
    name = body.name or datetime.fromtimestamp(now_ms() / 1000, UTC).strftime("%Y-%m-%dT%H%M%SZ")
    return await _begin(request, "backup", name, f"Backup {name} has begun.")


@router.post(
    "/backups/{name}/verify",
    status_code=202,
    response_model=models.DoneJob,
    responses=refusals(*GATE, "backup_not_found", "refused"),
)
async def verify(name: BackupPath, request: Request, _: models.Nothing | None = None) -> dict[str, Any]:
    """Begin to check a backup: every byte, entry, row and record; nothing of it is run."""
    return await _begin(request, "verify", name, f"The check of backup {name} has begun.")


@router.post("/fsck", status_code=202, response_model=models.DoneJob, responses=refusals(*GATE, "refused"))
async def fsck(request: Request, _: models.Nothing | None = None) -> dict[str, Any]:
    """Begin to check whether the world is whole; changes nothing."""
    return await _begin(request, "fsck", "world", "The check of the world has begun.")


# -- operators --


@router.post(
    "/operators/{operator_id}/revoke", response_model=models.ActionDone, responses=refusals(*GATE, "operator_not_found")
)
async def revoke_operator(operator_id: Name, request: Request, _: models.Nothing | None = None) -> dict[str, Any]:
    """End an operator's token for good; within seconds on all gateways."""
    services = _services(request)
    revoked = await operators.revoke(services.engine, operator_id)
    if not revoked:
        raise ApiError("operator_not_found")
    services.operators.forget()
    return _done(request, f"{', '.join(one.name for one in revoked)}: revoked.")


# -- parts --


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


def _done(request: Request, text: str) -> dict[str, Any]:
    """Return the answer to an action; what it changed is shown in the stream soon."""
    console = console_of(request)
    console.figures.moderated()
    console.feed.hurry()
    return {"audit_id": audit_id_of(request), "text": text}


async def _done_standing(request: Request, agent_id: str, text: str) -> dict[str, Any]:
    standing = await _services(request).strikes.standing(agent_id)
    return {**_done(request, text), "standing": standing_row(agent_id, standing)}


async def _check_agent(request: Request, agent_id: str) -> None:
    services = _services(request)
    if await services.batch.command("EXISTS", keys.agent(agent_id)):
        return
    if await agents.owner_of(services.engine, agent_id) is None:
        raise ApiError("agent_not_found")


async def _check_account(request: Request, account_id: str) -> None:
    if not await accounts.is_account(_services(request).engine, account_id):
        raise ApiError("account_not_found")


async def _ban(request: Request, kind: BanKind, subject: str, body: models.BanRequest) -> dict[str, Any]:
    services = _services(request)
    by = caller_of(request).name
    try:
        ban = await bans.ban(services.engine, kind, subject, reason=body.reason, by=by, minutes=body.minutes)
    except BanLimitReached as error:
        raise ApiError(error.reason) from None
    await _bans_changed(request)
    long = "until the ban is ended" if body.minutes is None else f"for {body.minutes:g} min"
    return {**_done(request, f"{subject} is banned {long}."), "ban": ban_row(ban)}


async def _unban(request: Request, kind: BanKind, subject: str) -> dict[str, Any]:
    if await bans.unban(_services(request).engine, kind, subject) is None:
        raise ApiError("not_banned")
    await _bans_changed(request)
    return _done(request, f"{subject} may come in again.")


async def _bans_changed(request: Request) -> None:
    """Have every gateway read the bans: this one before it answers, the others as soon as they hear of it."""
    await _services(request).bans.read()
    await _order(request, b"bans", must_arrive=False)


async def _freeze(request: Request, name: str, text: str) -> dict[str, Any]:
    services, by = _services(request), caller_of(request).name
    try:
        changed = await freeze(services.redis, name, by, now_ms())
    except TooMuchFrozen:
        raise ApiError("refused", words="too many chunks are frozen one by one: freeze the world") from None
    if changed:
        await _notice(request, "frozen", text, None if name == WORLD else name)
    return {**_done(request, text), "changed": changed}


async def _thaw(request: Request, name: str, text: str) -> dict[str, Any]:
    changed = await thaw(_services(request).redis, name)
    if changed:
        await _notice(request, "thawed", text, None if name == WORLD else name)
    return {**_done(request, text), "changed": changed}


async def _notice(request: Request, what: str, text: str, chunk_id: str | None) -> None:
    payload = orjson.dumps({"notice": what, "text": text, "chunk_id": chunk_id})
    await _order(request, b"notice " + payload, must_arrive=what == "announcement")


async def _order(request: Request, message: bytes, *, must_arrive: bool = True) -> None:
    """Tell all gateways something.  What need not arrive is done already, and found out in another way."""
    try:
        await _services(request).batch.command("PUBLISH", keys.OPERATORS_CHANNEL, message)
    except Exception:
        if must_arrive:
            raise


async def _begin(request: Request, kind: JobKind, name: str, text: str) -> dict[str, Any]:
    operating = console_of(request).figures.operating
    audit_id = audit_id_of(request)
    job = await operating.begin_job(kind, name, by=caller_of(request).name, audit_id=audit_id)
    leave_open(request)  # the job writes its outcome itself
    return {**_done(request, text), "job": job}
