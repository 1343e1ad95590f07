"""Models that play over MCP at gateways' ``/mcp``, over a real world in this process."""

from __future__ import annotations

import asyncio

import pytest

from api import keys as api_keys
from cluster.hosted.players import Players
from tests.api.gates import Gate
from tests.cluster.hosted.conftest import Line, model, told
from tests.cluster.hosted.stub import StubPlay
from tests.cluster.worlds import until


def players(gate: Gate) -> Players:
    assert gate.models._server is not None
    return gate.models._server.players


async def die(gate: Gate) -> None:
    """What is left of a gateway that is killed: a lease, and connections that nobody serves."""
    there = players(gate)
    assert there._keeping is not None
    there._keeping.cancel()
    for subscription in there._relay._listening:
        subscription.close()
    await asyncio.sleep(0)


@pytest.mark.parametrize("mode", ["legacy", pytest.param("auto", marks=pytest.mark.slow)])
async def test_a_model_gets_gold_sees_a_second_chunk_and_talks_in_ten_calls(
    gates: list[Gate], key: str, mode: str
) -> None:
    """What it is answered stays within 1,500 tokens, text and fields."""
    async with model(Line(gates[0]), key, mode) as client:
        stub = StubPlay(client)
        await stub.play("thinker-1", 25, seconds=45)
    assert len(stub.answers) <= 10, stub.answers
    assert stub.tokens <= 1500, stub.answers
    history = await thoughts(gates[0], key, "thinker-1")
    assert ("harvest_until", "I want 25 gold") in history
    assert ("explore", "what is next door?") in history


async def thoughts(gate: Gate, key: str, agent_id: str) -> list[tuple[str, str]]:
    import httpx

    headers = {"authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=gate.base, headers=headers) as http:
        page = (await http.get(f"/v1/agents/{agent_id}/history", params={"kind": "thought"})).json()
    return [(entry["details"]["doing"], entry["details"]["text"]) for entry in page["entries"]]


async def test_calls_that_reach_another_gateway_are_carried_out_where_the_agent_is(gates: list[Gate], key: str) -> None:
    line = Line(gates[0])
    async with model(line, key) as client:
        await told(client, "play_as", agent_id="scout-1")
        for gate in (gates[1], gates[0], gates[1]):
            line.to = gate
            text, fields = await told(client, "observe", budget_tokens=60)
            assert text.startswith("You are scout-1 at ")
            assert "stale" not in fields
        assert (await told(client, "harvest_until", amount=2))[1]["reason"] == "harvested"
        assert (len(players(gates[0])), len(players(gates[1]))) == (1, 0)
    await until(lambda: asyncio.sleep(0, not len(players(gates[0]))), "the client ends its session, and the agent goes")


async def test_a_session_goes_on_at_another_gateway_when_its_own_is_gone(
    gates: list[Gate], key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.hosted.players.KEEP_EVERY_S", 0.1)
    line = Line(gates[0])
    async with model(line, key) as client:
        await told(client, "play_as", agent_id="scout-1")
        await told(client, "harvest_until", amount=1)
        await until(lambda: gates[0].services.redis.get(api_keys.mcp_map("scout-1")), "the map is kept")
        await die(gates[0])
        line.to = gates[1]
        text, fields = await told(client, "observe")
        assert text.startswith("You are scout-1 at ")
        assert fields["gold"] >= 1
        assert (await told(client, "map"))[0].startswith("chunk-")
        assert len(players(gates[1])) == 1


@pytest.mark.slow
async def test_a_host_that_falls_silent_leaves_an_unknown_outcome_and_the_next_call_goes_on(
    gates: list[Gate], key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.hosted.relay.SILENT_S", 0.3)
    line = Line(gates[0])
    async with model(line, key) as client:
        await told(client, "play_as", agent_id="scout-1")
        await told(client, "observe")
        line.to = gates[1]
        await told(client, "observe")
        monkeypatch.setattr(players(gates[0])._relay, "_carry_out", lambda asked: asyncio.sleep(0))
        text, fields = await told(client, "say", text="hello")
        assert text.startswith("outcome_unknown: ")
        assert not fields["ok"]
        assert (await told(client, "observe"))[0].startswith("You are scout-1 at ")
        assert len(players(gates[1])) == 1


@pytest.mark.slow
async def test_a_host_that_was_given_up_too_early_takes_nothing_from_the_one_that_goes_on(
    gates: list[Gate], key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.hosted.players.KEEP_EVERY_S", 0.1)
    line = Line(gates[0])
    async with model(line, key) as client:
        await told(client, "play_as", agent_id="scout-1")
        [played] = players(gates[0])._players.values()
        line.to = gates[1]
        assert (await told(client, "observe"))[1]["ok"], "carried out by the first"
        there = players(gates[1])
        await there._sessions.claim(played.session_id, there.gateway, lost=players(gates[0]).gateway)
        assert (await told(client, "observe"))[0].startswith("You are scout-1 at ")

        def has_left() -> bool:
            first = players(gates[0])
            return played.agent.ended is not None and not len(first) and not first._closing

        await until(lambda: asyncio.sleep(0, has_left()), "the first one has let go")
        assert (await told(client, "observe"))[0].startswith("You are scout-1 at ")


async def test_a_cancelled_call_ends_and_the_agent_stands_still(gates: list[Gate], key: str) -> None:
    line = Line(gates[0])
    async with model(line, key) as client:
        await told(client, "play_as", agent_id="scout-1")
        line.to = gates[1]
        digging = asyncio.create_task(told(client, "harvest_until", amount=10_000, seconds=100))
        [played] = players(gates[0])._players.values()
        await played.agent.wait_until(lambda view: (view.inventory_gold or 0) > 0, 60)
        digging.cancel()
        await asyncio.gather(digging, return_exceptions=True)

        def stands_still() -> bool:
            me = played.agent.me
            return played._calls == 0 and me is not None and me.activity_state == "idle"

        await until(lambda: asyncio.sleep(0, stands_still()), "the call is over, and the agent stands")
        assert (await told(client, "observe", budget_tokens=60))[1]["ok"]


async def test_another_client_takes_over_and_the_model_is_told_first(gates: list[Gate], key: str) -> None:
    async with model(Line(gates[0]), key) as first, model(Line(gates[1]), key) as second:
        await told(first, "play_as", agent_id="scout-1")
        await told(second, "play_as", agent_id="scout-1")
        agent = players(gates[0])._players[next(iter(players(gates[0])._players))].agent
        await until(lambda: asyncio.sleep(0, agent.ended), "the first is out")
        text, fields = await told(first, "observe")
        assert text.startswith("STALE: another client plays this agent")
        assert text.splitlines()[0].endswith("play_as must be called again.")
        assert fields["stale"]
        assert (await told(first, "move_to", x=25, y=25))[0].startswith("taken_over: STALE")
        assert (await told(second, "observe"))[0].startswith("You are scout-1")


@pytest.mark.slow
async def test_an_idle_agent_leaves_and_the_next_call_brings_it_back(
    gates: list[Gate], key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.hosted.players.KEEP_EVERY_S", 0.05)
    async with model(Line(gates[0]), key) as client:
        await told(client, "play_as", agent_id="scout-1")
        players(gates[0])._idle_s = 0.1
        await until(lambda: asyncio.sleep(0, len(players(gates[0])) == 0), "it has left")
        await until(lambda: asyncio.sleep(0, len(gates[0].streams.connections) == 0), "its socket is closed")
        players(gates[0])._idle_s = 600
        assert (await told(client, "observe"))[0].startswith("You are scout-1 at ")


@pytest.mark.slow
async def test_a_gateway_that_drains_answers_what_is_under_way_and_lets_go(gates: list[Gate], key: str) -> None:
    line = Line(gates[0])
    async with model(line, key) as client:
        await told(client, "play_as", agent_id="scout-1")
        digging = asyncio.create_task(told(client, "harvest_until", amount=10_000, seconds=100))
        agent = players(gates[0])._players[next(iter(players(gates[0])._players))].agent
        await agent.wait_until(lambda view: (view.inventory_gold or 0) > 0, 60)
        await gates[0].models.drain()
        text, fields = await digging
        assert fields == {"ok": False, "reason": "draining"}, text
        assert (len(players(gates[0])), len(gates[0].streams.connections)) == (0, 0)
        line.to = gates[1]
        assert (await told(client, "observe"))[0].startswith("You are scout-1 at ")


@pytest.mark.slow
async def test_no_more_agents_are_played_than_there_is_room_for(gates: list[Gate], key: str) -> None:
    async with model(Line(gates[0]), key) as one, model(Line(gates[0]), key) as other:
        await told(one, "play_as", agent_id="scout-1")
        players(gates[0])._most = 1
        assert (await told(other, "play_as", agent_id="scout-2"))[1]["reason"] == "overloaded"
        assert (await told(one, "observe"))[1]["ok"]
        assert (await told(other, "agents"))[0].startswith("Your agents: scout-1")
        assert (await told(other, "play_as", agent_id="demo-player"))[1]["reason"] in ("overloaded", "agent_not_owned")


@pytest.mark.slow
async def test_a_resource_and_a_prompt_tell_how_to_play(gates: list[Gate], key: str) -> None:
    async with model(Line(gates[0]), key) as client:
        read = await client.read_resource("chunkcrawl://skill")
        assert read.contents[0].text.startswith("# Playing Chunkcrawl")
        prompt = await client.get_prompt("play")
        assert "Playing Chunkcrawl" in prompt.messages[0].content.text
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert {"play_as", "agents", "go_to", "map"} <= set(tools)
        assert tools["observe"].annotations.read_only_hint
        assert tools["go_to"].output_schema["required"] == ["ok", "reason"]
