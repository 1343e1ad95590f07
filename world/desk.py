"""Deciding about a submitted command: at once, and once for each command id."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from world.actors import ActivityState, Actor
from world.chat import plan_say
from world.commands import Command, Harvest, MoveTo, parse_command
from world.crossing import approach, want_neighbor
from world.harvest import plan_harvest, stop_harvest
from world.ids import ServerCmdId
from world.inputs import Decision, Obstacle, Refusal, Submit
from world.movement import plan_move
from world.running import Activity, Harvesting, Moving
from world.state import ShardState, blocker_json

MOVED = Decision(accepted=False, moved=True)


def submit(state: ShardState, request: Submit) -> Decision:
    """Accept or refuse a command; the ``command_ack`` goes out unless it was decided before or the agent is elsewhere.

    Accepting ends a harvest of the same agent; any other command that runs makes the new one ``busy``.
    """
    actor = state.agents.get(request.agent_id)
    if actor is None:
        return MOVED
    before = actor.decided.get(request.server_cmd_id)
    if before is not None:
        return replace(before, duplicate=True)
    command = parse_command(request.cmd, state.rules.chat_max_chars)
    if isinstance(command, Refusal):
        return _refuse(state, actor, request, command)
    if actor.running is not None and not isinstance(actor.running, Harvesting):
        return _refuse(state, actor, request, Refusal("busy"), _busy_ms(state, actor.running))
    running, shown = _plan(state, actor, command, request)
    if isinstance(running, Refusal):
        return _refuse(state, actor, request, running, _retry_ms(state, actor, command, running))
    stop_harvest(state, actor, "interrupted_by_new_command")
    _accept(state, actor, request, command, running, shown)
    return actor.decided[request.server_cmd_id]


def _plan(
    state: ShardState, actor: Actor, command: Command, request: Submit
) -> tuple[Activity | Refusal, ActivityState]:
    if isinstance(command, MoveTo):
        return plan_move(state, actor, command, request), "moving"
    if isinstance(command, Harvest):
        return plan_harvest(state, actor, command, request), "harvesting"
    return plan_say(state, command, request), "idle"


def _accept(
    state: ShardState, actor: Actor, request: Submit, command: Command, running: Activity, shown: ActivityState
) -> None:
    decision = Decision(accepted=True, started_tick=running.ticket.started_tick)
    ack = _ack(request, decision)
    ack["echo"] = command.to_json()
    state.private(actor, "command_ack", ack, request.trace_id)
    _remember(state, actor, request.server_cmd_id, decision)
    state.start(actor, running, shown)
    if isinstance(running, Harvesting):
        running.node.harvesters[actor.id] = actor
    elif isinstance(running, Moving) and running.side is not None:
        want_neighbor(state, actor.chunk, running.side)
        if len(running.path) == 1:
            approach(state, actor, running)


def _refuse(
    state: ShardState, actor: Actor, request: Submit, refusal: Refusal, retry_after_ms: int | None = None
) -> Decision:
    decision = Decision(accepted=False, reason=refusal.reason, retry_after_ms=retry_after_ms)
    ack = _ack(request, decision)
    if refusal.obstacle is not None:
        ack.update(_in_the_way(refusal.obstacle))
    state.private(actor, "command_ack", ack, request.trace_id)
    _remember(state, actor, request.server_cmd_id, decision)
    return decision


def _ack(request: Submit, decision: Decision) -> dict[str, Any]:
    payload: dict[str, Any] = {
        "server_cmd_id": request.server_cmd_id,
        "client_cmd_id": request.client_cmd_id,
        "accepted": decision.accepted,
    }
    if decision.started_tick is not None:
        payload["started_tick"] = decision.started_tick
    if decision.reason is not None:
        payload["reason"] = decision.reason
    if decision.retry_after_ms is not None:
        payload["retry_after_ms"] = decision.retry_after_ms
    return payload


def _in_the_way(obstacle: Obstacle) -> dict[str, Any]:
    """The fields of an ack that name an obstacle, as a result names one met on the way."""
    return {
        "detail": obstacle.detail,
        "blocked_at": {"x": obstacle.x, "y": obstacle.y},
        "blocker": blocker_json(obstacle.by),
    }


def _remember(state: ShardState, actor: Actor, server_cmd_id: ServerCmdId, decision: Decision) -> None:
    actor.decided[server_cmd_id] = decision
    if len(actor.decided) > state.rules.recent_commands:
        del actor.decided[next(iter(actor.decided))]
    state.keep(actor)


def _busy_ms(state: ShardState, running: Activity) -> int:
    """When the running command will be over, if nothing comes between."""
    ticks = len(running.path) if isinstance(running, Moving) else 1
    return max(ticks, 1) * state.rules.tick_ms


def _retry_ms(state: ShardState, actor: Actor, command: Command, refusal: Refusal) -> int | None:
    """For a node that grows back: when it will be full."""
    if refusal.reason != "depleted" or not isinstance(command, Harvest):
        return None
    regen_at = actor.chunk.nodes[command.node_id].regen_at
    return None if regen_at is None else (regen_at - state.tick) * state.rules.tick_ms
