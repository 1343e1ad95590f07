"""The AsyncAPI document in itself, and against the names that the server uses.

The published JSON schema of AsyncAPI is larger than the document by ten; what it asks for that one can get wrong
(fields, references, operations that fit their channels) is asked here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from fastapi.routing import APIRoute
from jsonschema_rs import Draft7Validator

from api.accounts.auth import Role
from api.challenge.challenge import POW_ALG, SIG_ALG, Verdict
from api.ids import AGENT_ID_PATTERN, CHUNK_ID_PATTERN, CLIENT_CMD_ID_PATTERN
from api.sockets import agent_socket, frames, owner, spectate
from api.sockets.frames import MAX_PROOF_NONCE_CHARS, FrameError, parse_frame
from streaming.cursor import ChunkCursor, Position, position_event_id
from streaming.entry import PRIVATE_KINDS, SHARED_KINDS
from tests.docs.asyncapi import DOCUMENT, MESSAGES, SCHEMAS, component_name, faults, references, resolve
from world.commands import DEFAULT_RULES, RULES, parse_command
from world.commands.give import AGENT_ID_MAX_CHARS, AMOUNT_MAX
from world.commands.harvest import NODE_ID_MAX_CHARS
from world.inputs import Refusal

CHANNELS: dict[str, Any] = DOCUMENT["channels"]
OPERATIONS: dict[str, Any] = DOCUMENT["operations"]
FIELDS = {
    "": {"asyncapi", "info", "defaultContentType", "servers", "channels", "operations", "components"},
    "channel": {"address", "title", "servers", "description", "messages", "bindings"},
    "operation": {"action", "channel", "summary", "messages"},
    "message": {"name", "summary", "headers", "payload"},
    "server": {"host", "protocol", "description", "security"},
}


def objects() -> Iterator[tuple[str, dict[str, Any]]]:
    yield "", DOCUMENT
    for kind, parts in (
        ("channel", CHANNELS),
        ("operation", OPERATIONS),
        ("message", MESSAGES),
        ("server", DOCUMENT["servers"]),
    ):
        for part in parts.values():
            yield kind, part


def test_it_has_no_field_that_asyncapi_does_not_know() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    for kind, part in objects():
        assert set(part) <= FIELDS[kind], part
        assert kind in ("", "server") or {"summary", "title"} & set(part), part


def test_every_reference_leads_somewhere() -> None:
    found = list(references(DOCUMENT))
    assert len(found) > 100
    for reference in found:
        assert resolve(reference), reference


def test_nothing_is_there_that_nobody_uses() -> None:
    used = set(references(DOCUMENT))
    parts = {f"#/components/messages/{name}" for name in MESSAGES} | {
        f"#/components/schemas/{name}" for name in SCHEMAS
    }
    assert not parts - used


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_schema_is_one(name: str) -> None:
    Draft7Validator({"$ref": f"#/components/schemas/{name}", "components": {"schemas": SCHEMAS}})
    text = SCHEMAS[name]
    if text.get("type") == "object":
        assert set(text.get("required", ())) <= set(text["properties"])


def test_each_channel_has_operations_with_all_its_messages_and_no_others() -> None:
    told: dict[str, list[str]] = {f"#/channels/{name}": [] for name in CHANNELS}
    for operation in OPERATIONS.values():
        channel = operation["channel"]["$ref"]
        names = [reference["$ref"] for reference in operation["messages"]]
        assert all(name.startswith(f"{channel}/messages/") for name in names)
        told[channel] += names
    for name, channel in CHANNELS.items():
        assert sorted(told[f"#/channels/{name}"]) == sorted(
            f"#/channels/{name}/messages/{m}" for m in channel["messages"]
        )


def test_messages_bear_the_names_under_which_channels_have_them() -> None:
    for channel in CHANNELS.values():
        for kind, reference in channel["messages"].items():
            message = resolve(reference["$ref"])
            assert message["name"] == kind
            typed = message["payload"]["allOf"][-1] if "allOf" in message["payload"] else message["payload"]
            assert typed["properties"]["type"] == {"const": kind}


# -- against the server --


def routes() -> Iterator[tuple[str, bool]]:
    """Path, and whether it is an event stream (else a socket), of what the gateway mounts."""
    for router in (agent_socket.router, owner.router, spectate.router, spectate.aliased):
        for route in router.routes:
            yield getattr(route, "path", ""), isinstance(route, APIRoute)


def test_the_channels_are_the_servers() -> None:
    documented = {
        (channel["address"], channel["servers"] == [{"$ref": "#/servers/stream"}]) for channel in CHANNELS.values()
    }
    assert documented == set(routes())


def test_every_kind_of_a_stream_is_documented_and_none_that_is_private_for_spectators() -> None:
    for name, channel in CHANNELS.items():
        kinds = set(channel["messages"])
        if name.startswith("spectator"):
            assert kinds >= SHARED_KINDS
            assert not kinds & PRIVATE_KINDS
        else:
            assert kinds >= PRIVATE_KINDS | {"chunk_delta"}


def test_what_a_socket_says_about_bad_frames_is_documented() -> None:
    reasons = {value.reason for value in vars(frames).values() if isinstance(value, FrameError)}
    assert len(reasons) == 7
    assert reasons | {Verdict.CONSUMED.value} <= set(SCHEMAS["Error"]["properties"]["reason"]["enum"])


def test_the_codes_of_an_ack_are_documented() -> None:
    codes = set(SCHEMAS["CommandAck"]["properties"]["code"]["enum"])
    verdicts = {verdict.value for verdict in Verdict} - {Verdict.VALID.value, Verdict.CONSUMED.value}
    faults_of_cmd = {value.what for value in vars(frames).values() if isinstance(value, frames._Fault)}
    assert codes == verdicts | faults_of_cmd | {"lone_surrogate", "too_deep", "muted", "banned_words"}
    assert {verdict.reason for verdict in Verdict} <= set(SCHEMAS["CommandAck"]["properties"]["reason"]["enum"])


def test_constants() -> None:
    challenge = SCHEMAS["CommandChallenge"]["properties"]
    assert (challenge["sig_alg"], challenge["pow_alg"]) == ({"const": SIG_ALG}, {"const": POW_ALG})
    assert set(SCHEMAS["SessionReady"]["properties"]["role"]["enum"]) == set(get_args(Role))
    assert SCHEMAS["AgentId"]["pattern"] == AGENT_ID_PATTERN
    assert SCHEMAS["ChunkId"]["pattern"] == CHUNK_ID_PATTERN
    assert SCHEMAS["ClientCmdId"]["pattern"] == CLIENT_CMD_ID_PATTERN
    text, harvest = (
        SCHEMAS["WorldEvent"]["oneOf"][1]["properties"]["text"],
        SCHEMAS["Command"]["oneOf"][2]["properties"],
    )
    assert text["maxLength"] == DEFAULT_RULES.chat_max_chars
    assert harvest["node_id"]["maxLength"] == NODE_ID_MAX_CHARS
    give = SCHEMAS["Command"]["oneOf"][3]["properties"]
    assert (give["agent_id"]["maxLength"], give["amount"]["maximum"]) == (AGENT_ID_MAX_CHARS, AMOUNT_MAX)
    documented = [one["properties"]["type"]["const"] for one in SCHEMAS["Command"]["oneOf"]]
    assert sorted(documented) == sorted(RULES)
    assert SCHEMAS["CommandAnswer"]["properties"]["proof"]["oneOf"][0]["maxLength"] == MAX_PROOF_NONCE_CHARS


@pytest.mark.parametrize(
    "event_id",
    [
        str(ChunkCursor("chunk-0", (12, 3))),
        str(Position("chunk-0", (12, 0), 7)),
        position_event_id(None, (0, 0), 7),
    ],
)
def test_event_ids(event_id: str) -> None:
    assert re.search(SCHEMAS["EventId"]["pattern"], event_id)
    assert not faults("schemas/EventId", event_id, closed=True)


# -- what a client may say: the document and the parsers say the same --

COMMANDS: list[Any] = [
    {"type": "move_to", "x": 0, "y": 49},
    {"type": "say", "text": "hello"},
    {"type": "harvest", "node_id": "chunk-0-node-1"},
    {"type": "move_to", "x": 50, "y": 0},
    {"type": "move_to", "x": 1},
    {"type": "move_to", "x": True, "y": 1},
    {"type": "move_to", "x": 1, "y": 1, "z": 1},
    {"type": "say", "text": ""},
    {"type": "harvest", "node_id": ""},
    {"type": "harvest", "node_id": "n" * 161},
    {"type": "give", "agent_id": "bob", "amount": 1},
    {"type": "give", "agent_id": "bob", "amount": 0},
    {"type": "give", "agent_id": "bob", "amount": 10**9 + 1},
    {"type": "give", "agent_id": "b" * 129, "amount": 1},
    {"type": "dance"},
    {},
    None,
]


@pytest.mark.parametrize("cmd", COMMANDS, ids=str)
def test_commands(cmd: Any) -> None:
    accepted = not isinstance(parse_command(cmd), Refusal)
    assert (not faults("schemas/Command", cmd, closed=True)) == accepted


FRAMES = [
    '{"type":"ping"}',
    '{"type":"ping","trace_id":"t-1","payload":{}}',
    '{"type":"command_req","payload":{"client_cmd_id":"c:1","cmd":{"type":"say","text":"x"}}}',
    '{"type":"command_req","payload":{"client_cmd_id":"c 1","cmd":{"type":"say","text":"x"}}}',
    '{"type":"command_req"}',
    '{"type":"command_answer","payload":{"server_cmd_id":"s","sig":"%s","proof":{"proof_nonce":"7"}}}' % ("a" * 43),
    '{"type":"command_answer","payload":{"server_cmd_id":"s","sig":"%s","proof":"7"}}' % ("a" * 43),
    '{"type":"command_answer","payload":{"server_cmd_id":"s","sig":"%s"}}' % ("a" * 43),
    '{"type":"command_answer","payload":{"server_cmd_id":"s","sig":"%s","proof":7}}' % ("a" * 43),
    '{"type":"command_answer","payload":{"server_cmd_id":"s","proof":"7"}}',
]


@pytest.mark.parametrize("frame", FRAMES)
def test_frames(frame: str) -> None:
    data = json.loads(frame)
    valid = not faults(f"messages/{component_name(data['type'])}/payload", data, closed=False)
    assert valid == (not isinstance(parse_frame(frame), FrameError))
