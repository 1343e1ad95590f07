"""Deciding about a submitted command: at once, and once for each command id."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from world.actors import Actor
from world.command import Command
from world.commands import RULES, parse_command, rule_of
from world.ids import ServerCmdId
from world.inputs import Decision, Obstacle, Refusal, Submit
from world.running import Running
from world.state import ShardState, blocker_json

MOVED: Final = Decision(accepted=False, moved=True)


def submit(state: ShardState, request: Submit) -> Decision:
    """Accept or refuse a command; the ``command_ack`` goes out unless it was decided before or the agent is elsewhere.

    Accepting ends a command of the same agent that may be interrupted; any other that runs makes the new one ``busy``.
    """
    actor = state.agents.get(request.agent_id)
    if actor is None:
        return MOVED
    before = actor.decided.get(request.server_cmd_id)
    if before is not None:
        return replace(before, duplicate=True)
    command = parse_command(request.cmd, state.rules)
    if isinstance(command, Refusal):
        return _refuse(state, actor, request, command)
    before_it = actor.running
    if before_it is not None and not rule_of(before_it).INTERRUPTIBLE:
        return _refuse(state, actor, request, Refusal("busy"), rule_of(before_it).busy_ms(state, before_it))
    rule = RULES[command.KIND]
    running = rule.plan(state, actor, command, request)
    if isinstance(running, Refusal):
        return _refuse(state, actor, request, running, rule.retry_ms(state, actor, command, running))
    if before_it is not None:
        rule_of(before_it).stop(state, actor, before_it, "interrupted_by_new_command")
    _accept(state, actor, request, command, running)
    return actor.decided[request.server_cmd_id]


def _accept(state: ShardState, actor: Actor, request: Submit, command: Command, running: Running) -> None:
    rule = rule_of(running)
    decision = Decision(accepted=True, started_tick=running.ticket.started_tick)
    if not state.quiet:
        ack = _ack(request, decision)
        ack["echo"] = command.to_json()
        state.private(actor, "command_ack", ack, request.trace_id)
    _remember(state, actor, request.server_cmd_id, decision)
    state.start(actor, running, rule.SHOWN)
    rule.accepted(state, actor, running)
    rule.begin(state, actor, running)


def _refuse(
    state: ShardState, actor: Actor, request: Submit, refusal: Refusal, retry_after_ms: int | None = None
) -> Decision:
    decision = Decision(accepted=False, reason=refusal.reason, retry_after_ms=retry_after_ms)
    if not state.quiet:
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
    """Return the fields of an ack that name an obstacle, as a result names one met on the way."""
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
