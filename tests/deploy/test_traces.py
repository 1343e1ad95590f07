"""Traces of a real world, sent to a receiver of ours."""

from __future__ import annotations

import asyncio

import pytest

from chunkcrawl import Agent
from chunkcrawl.embedded import EmbeddedWorld
from chunkcrawl.errors import CommandRefused
from chunkcrawl.view.paths import STEPS, is_floor
from chunkcrawl.wire.messages import CommandAck, CommandResult
from tests.deploy.span_receiver import Received, SpanReceiver

pytestmark = [pytest.mark.ray, pytest.mark.timeout(240)]

#: The parts of a command that is carried out, and who tells of them.
WHOLE = [
    ("gateway.receive", "gateway"),
    ("challenge", "gateway"),
    ("gateway.answer", "gateway"),
    ("gateway.submit", "gateway"),
    ("shard.decide", "shard"),
    ("shard.commit", "shard"),
    ("gateway.deliver", "gateway"),
    ("run", "gateway"),
    ("shard.step", "shard"),
    ("shard.commit", "shard"),
    ("gateway.deliver", "gateway"),
    ("command move_to", "gateway"),
]


#: The parts of one that is refused. Its ack may reach its agent before the gateway notes that the call is over, so that
#: no part is known to be the last one.
REFUSED = ["gateway.receive", "challenge", "gateway.answer", "gateway.submit", "gateway.deliver", "command harvest"]


async def traced(spans: SpanReceiver, trace_id: str, count: int) -> list[Received]:
    """The spans of a trace, once there are so many, or after a while."""
    wanted = trace_id.rjust(32, "0")
    for _ in range(100):
        if len(spans.of(wanted)) >= count:
            break
        await asyncio.sleep(0.1)
    return spans.of(wanted)


async def refused(spans: SpanReceiver, agent_id: str, count: int) -> list[Received]:
    """The spans of an agent's only command, once there are so many, or after a while."""
    found: list[Received] = []
    for _ in range(100):
        found = [span for span in spans.spans if span.attributes.get("chunkcrawl.agent_id") == agent_id]
        if len(found) >= count:
            break
        await asyncio.sleep(0.1)
    return found


async def until_over(me: Agent) -> tuple[CommandAck, CommandResult]:
    """The ack and the result that come next."""
    ack: CommandAck | None = None
    async with asyncio.timeout(20):
        async for event in me.events():
            if isinstance(event, CommandAck):
                ack = event
            elif isinstance(event, CommandResult) and ack is not None:
                return ack, event
    raise AssertionError("the connection has ended")


def free_cell(me: Agent) -> tuple[int, int]:
    """A cell beside the agent on which nobody stands."""
    assert me.position is not None
    x, y = me.position
    taken = {(one.x, one.y) for one in me.view.agents.values()}
    beside = [(x + dx, y + dy) for dx, dy in STEPS if is_floor(me.view.grid, x + dx, y + dy)]
    return next(cell for cell in beside if cell not in taken)


async def test_a_commands_whole_trace_is_found_by_its_trace_id(world: EmbeddedWorld, spans: SpanReceiver) -> None:
    async with Agent.connect(world.base, agent_id="traced", api_key=world.key) as me:
        listening = asyncio.create_task(until_over(me))
        await asyncio.sleep(0)
        await me.move_to(*free_cell(me))
        ack, result = await listening
    assert result.trace_id == ack.trace_id
    found = [
        span
        for span in await traced(spans, result.trace_id, len(WHOLE))
        if span.attributes["chunkcrawl.server_cmd_id"] == result.server_cmd_id
    ]
    assert sorted((span.name, span.instance.partition("-")[0]) for span in found) == sorted(WHOLE)
    assert {span.service for span in found} == {"chunkcrawl"}
    assert spans.paths == {"/v1/traces"}
    (whole,) = [span for span in found if span.name == "command move_to"]
    parts = [span for span in found if span is not whole]
    assert whole.parent_id == ""
    assert {span.parent_id for span in parts} == {whole.span_id}, "the shard knows it without being told"
    assert len({span.span_id for span in found}) == len(found)
    assert whole.attributes["chunkcrawl.trace_id"] == result.trace_id
    assert whole.attributes["chunkcrawl.agent_id"] == "traced"
    # A delivery begins by the shard's clock and ends by the gateway's, which are not the same to a millisecond.
    assert all(span.began_ns <= span.ended_ns for span in found if span.name != "gateway.deliver")


async def test_a_refused_command_has_a_trace_up_to_its_ack(world: EmbeddedWorld, spans: SpanReceiver) -> None:
    async with Agent.connect(world.base, agent_id="traced-2", api_key=world.key) as me:
        with pytest.raises(CommandRefused):
            await me.harvest("nowhere")
        # The connection stays until then: a gateway forgets a call whose agent has gone.
        found = await refused(spans, "traced-2", len(REFUSED))
    assert sorted(span.name for span in found) == sorted(REFUSED)
    (submit,) = [span for span in found if span.name == "gateway.submit"]
    assert submit.attributes["chunkcrawl.accepted"] is False
