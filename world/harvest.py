"""Digging gold: start conditions, a unit now and then, the ends, and the node's growing back.

Source: docs/protocol.md, "Playing" (``harvest``).
"""

from __future__ import annotations

from heapq import heappop, heappush

from world.actors import Actor
from world.chunk import Chunk
from world.commands import Harvest
from world.grid import distance
from world.ids import Tick
from world.inputs import Refusal, Submit
from world.nodes import Node
from world.running import Harvesting
from world.state import ShardState

REACH = 1
"""Manhattan distance from which a node can be dug."""

NODE_NOT_FOUND = Refusal("node_not_found")
TOO_FAR = Refusal("too_far")
DEPLETED = Refusal("depleted")


def plan_harvest(state: ShardState, actor: Actor, command: Harvest, submit: Submit) -> Harvesting | Refusal:
    """Check the start conditions; another chunk's node is as unknown as one that never was."""
    node = actor.chunk.nodes.get(command.node_id)
    if node is None:
        return NODE_NOT_FOUND
    if distance(actor.cell, node.cell) > REACH:
        return TOO_FAR
    if node.state != "available":
        return DEPLETED
    due = Tick(state.next_tick + state.rules.harvest_ticks_per_unit - 1)
    return Harvesting(state.ticket(submit), node, due)


def dig(state: ShardState, actor: Actor, running: Harvesting) -> None:
    """One tick at a node: when a unit is due it moves to the agent; the last one ends it for everybody."""
    if state.tick < running.due:
        return
    chunk, node = actor.chunk, running.node
    running.due = Tick(state.tick + state.rules.harvest_ticks_per_unit)
    running.harvested += 1
    actor.gold += 1
    state.event(chunk, "resource_harvest", node_id=node.id, by=actor.id, amount=1)
    state.fact("harvest", chunk.id, actor.id, node_id=node.id, amount=1, gold=actor.gold)
    state.keep(actor)
    if node.remaining > 1:
        node.set(node.remaining - 1, "available")
        chunk.show_resources()
        state.inventory(actor, running.ticket.trace_id)
    else:
        _deplete(state, chunk, node, actor)


def stop_harvest(state: ShardState, actor: Actor, reason: str) -> None:
    """End a harvest as failed; what was dug stays with the agent."""
    running = actor.running
    if isinstance(running, Harvesting):
        running.node.harvesters.pop(actor.id, None)
        state.finish(actor, "failed", reason)
        state.inventory(actor, running.ticket.trace_id)


def _deplete(state: ShardState, chunk: Chunk, node: Node, last: Actor) -> None:
    """The last unit is gone: completed for the one who took it, failed for the others, in their order."""
    node.set(0, "depleted")
    if state.rules.regen_ticks:
        node.regen_at = Tick(state.tick + state.rules.regen_ticks)
        watch_regrowth(state, chunk, node)
    chunk.show_resources()
    state.event(chunk, "resource_depleted", node_id=node.id)
    state.keep_chunk(chunk)
    running = last.running
    assert isinstance(running, Harvesting)
    del node.harvesters[last.id]
    state.finish(last, "completed", "node_depleted")
    state.inventory(last, running.ticket.trace_id)
    for other in list(node.harvesters.values()):
        stop_harvest(state, other, "depleted")


# ----- growing back


def watch_regrowth(state: ShardState, chunk: Chunk, node: Node) -> None:
    """Look at the node in the next step, where it starts to grow back, and again when it is full."""
    if node.regen_at is not None:
        heappush(state.regrowth, (state.next_tick, chunk.id, node.spec.index))
        heappush(state.regrowth, (node.regen_at, chunk.id, node.spec.index))


def regrow(state: ShardState) -> None:
    """Nodes that are due: depleted ones show as regenerating from the next tick on, then all units are back at once."""
    due = state.regrowth
    while due and due[0][0] <= state.tick:
        _, chunk_id, index = heappop(due)
        chunk = state.chunks.get(chunk_id)
        if chunk is None:
            continue
        node = list(chunk.nodes.values())[index]
        if node.regen_at is None:
            continue
        if node.regen_at <= state.tick:
            node.regen_at = None
            node.set(node.spec.max_remaining, "available")
            state.event(chunk, "resource_regenerated", node_id=node.id)
            state.fact("regenerated", chunk.id, None, node_id=node.id, amount=node.remaining)
            state.keep_chunk(chunk)
        elif node.state == "depleted":
            node.set(0, "regenerating")
            state.show(chunk)
        chunk.show_resources()
