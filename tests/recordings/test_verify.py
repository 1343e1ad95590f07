"""Proof: an untouched recording verifies, and whatever is done to one is found and named."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from recordings.digests import one_line
from recordings.entry import FORMAT, RecordedUpTo, chain_after, pack, read_entry, unpack
from recordings.lane import Given
from recordings.places import Directory
from recordings.segment import END, Segment
from recordings.verify import Mismatch, Proof, Wanted, verify
from tests.recordings.simulate import played, write
from world.commands.harvest import HarvestRule
from world.crossing import cross
from world.rules import RULES_VERSION

TICKS: Final = 170


@pytest.fixture(scope="module")
def given() -> list[Given]:
    return played(seed=4, shards=2, ticks=TICKS)


@pytest.fixture(scope="module")
def untouched(given: list[Given], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("recordings"), given)


def findings(directory: Path) -> list[Mismatch]:
    return verify(Directory(directory)).findings


def test_what_nobody_touched_is_the_same(untouched: Path, given: list[Given]) -> None:
    done: list[tuple[int, int]] = []
    verdict = verify(Directory(untouched), progress=lambda at, of: done.append((at, of)))
    assert [finding.line for finding in verdict.findings] == []
    assert verdict.entries == len(given)
    assert verdict.ticks >= TICKS
    assert min(verdict.inputs, verdict.digests, verdict.frames) > 0
    assert set(verdict.ends.values()) == {
        [one.position for one in given if one.shard == shard][-1] for shard in verdict.ends
    }
    assert done[-1][0] == done[-1][1] > 0


def test_a_chunk_and_ticks_can_be_asked_for(untouched: Path) -> None:
    whole = verify(Directory(untouched))
    some = verify(Directory(untouched), Wanted(chunk="chunk-0"))
    late = verify(Directory(untouched), Wanted(first_tick=TICKS // 2))
    early = verify(Directory(untouched), Wanted(last_tick=TICKS // 2))
    assert some.same
    assert late.same
    assert early.same
    assert 0 < some.digests < whole.digests
    assert 0 < late.digests < whole.digests
    assert late.entries < whole.entries
    assert early.entries < whole.entries


def test_without_its_oldest_segment_it_goes_on_from_a_key_frame(untouched: Path, tmp_path: Path) -> None:
    shutil.copytree(untouched, tmp_path / "cut")
    sorted((tmp_path / "cut").glob("shard-000-*"))[0].unlink()
    verdict = verify(Directory(tmp_path / "cut"))
    assert verdict.same
    assert any("from" in note for note in verdict.notes)
    assert verdict.frames > 0


# -- manipulations of what is said, by somebody who writes a whole new recording --


def body_of(given: Given) -> dict[str, Any]:
    body: dict[str, Any] = orjson.loads(unpack(given.message)[1])
    return body


def with_body(given: Given, body: dict[str, Any], *, chain: str | None = None) -> Given:
    _, _, frame = unpack(given.message)
    kept = given.position.chain if chain is None else chain
    message = pack(kept, orjson.dumps(body), frame)
    return replace(given, message=message, position=replace(given.position, chain=kept))


def rechained(given: list[Given]) -> list[Given]:
    """The same with a chain made anew over what it says now."""
    chains: dict[int, str] = {}
    result = []
    for one in given:
        _, data, frame = unpack(one.message)
        chain = chain_after(chains.get(one.shard, "0" * 32), data)
        chains[one.shard] = chain
        position = RecordedUpTo(one.position.epoch, one.position.n, chain)
        result.append(replace(one, message=pack(chain, data, frame), position=position))
    return result


def renumbered(given: list[Given]) -> list[Given]:
    """The same with numbers made anew, and the chain."""
    counts: dict[int, int] = {}
    result = []
    for one in given:
        n = counts.get(one.shard, 0)
        counts[one.shard] = n + 1
        position = RecordedUpTo(one.position.epoch, n, one.position.chain)
        result.append(replace(with_body(one, body_of(one) | {"n": n}), position=position))
    return rechained(result)


def find(given: list[Given], wanted: Callable[[dict[str, Any]], bool], *, after: int = 300) -> int:
    return next(at for at, one in enumerate(given) if at > after and wanted(body_of(one)))


def has_move(body: dict[str, Any]) -> bool:
    return any(one[0] == "Submit" and (one[1]["cmd"] or {}).get("type") == "move_to" for one in body["o"])


def change_input(
    field: str, value: Any, kind: str = "Submit", after: int = 300
) -> Callable[[list[Given]], list[Given]]:
    def change(given: list[Given]) -> list[Given]:
        wanted = has_move if kind == "Submit" else lambda body: any(one[0] == kind for one in body["o"])
        at = find(given, wanted, after=after)
        body = body_of(given[at])
        order = next(one for one in body["o"] if one[0] == kind)
        order[1][field] = value
        return [*given[:at], with_body(given[at], body), *given[at + 1 :]]

    return change


def drop(given: list[Given]) -> list[Given]:
    at = find(given, has_move)
    return [*given[:at], *given[at + 1 :]]


def repeat(given: list[Given]) -> list[Given]:
    """A former entry once more, under the number of another."""
    at = find(given, has_move)
    other = next(n for n in range(at + 1, len(given)) if given[n].shard == given[at].shard)
    copied = replace(given[at], id=given[other].id, position=replace(given[other].position))
    return [*given[:other], copied, *given[other + 1 :]]


def swap(given: list[Given]) -> list[Given]:
    """Two entries of one shard in each other's place."""
    at = find(given, has_move)
    other = next(n for n in range(at + 1, len(given)) if given[n].shard == given[at].shard)
    result = list(given)
    result[at] = replace(given[at], message=given[other].message)
    result[other] = replace(given[other], message=given[at].message)
    return result


def swap_inputs(given: list[Given]) -> list[Given]:
    """Two inputs of one entry."""
    at = find(given, lambda body: len(body["o"]) > 1 and body["o"][0] != body["o"][1])
    body = body_of(given[at])
    body["o"][0], body["o"][1] = body["o"][1], body["o"][0]
    return [*given[:at], with_body(given[at], body), *given[at + 1 :]]


def drop_input(given: list[Given]) -> list[Given]:
    at = find(given, has_move)
    body = body_of(given[at])
    body["o"] = [one for one in body["o"] if one[0] != "Submit"]
    return [*given[:at], with_body(given[at], body), *given[at + 1 :]]


def add_input(given: list[Given]) -> list[Given]:
    """A command that nobody gave."""
    at = find(given, has_move)
    body = body_of(given[at])
    who = next(one[1]["agent_id"] for one in body["o"] if one[0] == "Submit")
    given_by = {"agent_id": who, "server_cmd_id": "forged", "client_cmd_id": "f", "trace_id": ""}
    body["o"].insert(0, ["Submit", given_by | {"cmd": {"type": "say", "text": "I never said this"}}])
    return [*given[:at], with_body(given[at], body), *given[at + 1 :]]


def change_steps(given: list[Given]) -> list[Given]:
    at = find(given, lambda body: isinstance(body["o"][-1][0], int))
    body = body_of(given[at])
    body["o"][-1][0] += 1
    body["o"][-1][1] += 1
    return [*given[:at], with_body(given[at], body), *given[at + 1 :]]


def change_tick(given: list[Given]) -> list[Given]:
    at = find(given, has_move)
    return [*given[:at], with_body(given[at], body_of(given[at]) | {"t": 3}), *given[at + 1 :]]


def change_digest(part: int) -> Callable[[list[Given]], list[Given]]:
    def change(given: list[Given]) -> list[Given]:
        at = find(given, lambda body: bool(body.get("d")))
        body = body_of(given[at])
        parts = next(iter(body["d"].values()))
        parts[part] = "0" * 16
        return [*given[:at], with_body(given[at], body), *given[at + 1 :]]

    return change


def change_digest_chunk(given: list[Given]) -> list[Given]:
    at = find(given, lambda body: bool(body.get("d")))
    body = body_of(given[at])
    body["d"] = {"chunk-999": next(iter(body["d"].values()))}
    return [*given[:at], with_body(given[at], body), *given[at + 1 :]]


def change_frame(path: list[Any], value: Any) -> Callable[[list[Given]], list[Given]]:
    def change(given: list[Given]) -> list[Given]:
        result = []
        changed = False
        for one in given:
            chain, data, frame = unpack(one.message)
            if frame is not None and not changed:
                content = orjson.loads(frame)
                chunk = next((c for c in content["chunks"].values() if c["agents"]), None)
                if chunk is not None:
                    target: Any = chunk
                    for step in path[:-1]:
                        target = target[step]
                    target[path[-1]] = value
                    changed = True
                    one = replace(one, message=pack(chain, data, orjson.dumps(content)))
            result.append(one)
        return result

    return change


def change_header(field: str, value: Any) -> Callable[[list[Given]], list[Given]]:
    def change(given: list[Given]) -> list[Given]:
        at = next(n for n, one in enumerate(given) if one.position.n == 0)
        body = body_of(given[at])
        body["h"][field] = value
        return [*given[:at], with_body(given[at], body), *given[at + 1 :]]

    return change


def change_load(given: list[Given]) -> list[Given]:
    """A chunk that was there from the beginning, with another story."""
    at = next(n for n, one in enumerate(given) if any(o[0] == "Load" for o in body_of(one)["o"]))
    body = body_of(given[at])
    load = next(one for one in body["o"] if one[0] == "Load")
    load[1]["record"]["pinned"] = not load[1]["record"]["pinned"]
    return [*given[:at], with_body(given[at], body), *given[at + 1 :]]


#: What somebody does to what is said, and the fields one of which names it; with ``anew`` the chain is made again.
SAID: Final[dict[str, tuple[Callable[[list[Given]], list[Given]], bool, set[str]]]] = {
    "another target of a move": (change_input("cmd", {"type": "move_to", "x": 24, "y": 24}), False, {"inputs"}),
    "another agent": (change_input("agent_id", "somebody-else"), False, {"inputs"}),
    "another id of a command": (change_input("server_cmd_id", "other"), False, {"inputs"}),
    "another trace": (change_input("trace_id", "other"), False, {"inputs"}),
    "another kind of command": (change_input("cmd", {"type": "say", "text": "hello"}), False, {"inputs"}),
    "who joined": (change_input("chunk_id", "chunk-1", "Join"), False, {"inputs"}),
    "where somebody joined": (change_input("near", [3, 3], "Join"), False, {"inputs"}),
    "an entry dropped": (drop, False, {"entries"}),
    "an entry repeated": (repeat, False, {"entries", "inputs"}),
    "two entries swapped": (swap, False, {"entries", "inputs"}),
    "two inputs swapped": (swap_inputs, False, {"inputs"}),
    "an input dropped": (drop_input, False, {"inputs"}),
    "an input added": (add_input, False, {"inputs"}),
    "other steps": (change_steps, False, {"inputs"}),
    "another tick": (change_tick, False, {"inputs", "ticks"}),
    "a digest of agents": (change_digest(0), False, {"inputs", "agents"}),
    "a chunk's beginning": (change_load, False, {"inputs"}),
    "the seed": (change_header("seed", 77), False, {"inputs"}),
    "the rules of the header": (change_header("rules", {"npc_step_ticks": 3}), False, {"inputs"}),
    "another target, chained anew": (
        # Of somebody who stands idle: another that is busy is refused whatever it says.
        *(change_input("cmd", {"type": "move_to", "x": 24, "y": 24}, after=0), True),
        {"agents", "agents[agent-4]"},
    ),
    "an entry dropped, numbered and chained anew": (drop, True, {"agents", "agents[agent-2]"}),
    "an input dropped, chained anew": (drop_input, True, {"agents", "agents[agent-2]"}),
    "an input added, chained anew": (add_input, True, {"agents", "agents[agent-2]"}),
    "other steps, chained anew": (change_steps, True, {"ticks"}),
    "a digest of agents, chained anew": (change_digest(0), True, {"agents"}),
    "a digest of nodes, chained anew": (change_digest(1), True, {"nodes"}),
    "a digest of creatures, chained anew": (change_digest(2), True, {"npcs"}),
    "a digest of links, chained anew": (change_digest(3), True, {"chunk"}),
    "a digest of a chunk that was not there, chained anew": (change_digest_chunk, True, {"chunk"}),
    "a chunk's beginning, chained anew": (change_load, True, {"chunk", "record"}),
    "the seed, chained anew": (change_header("seed", 77), True, {"agents", "nodes", "npcs", "rules"}),
    "gold in a key frame": (change_frame(["agents", 0, "gold"], 999), False, {"agents[0].gold"}),
    "a place in a key frame": (change_frame(["agents", 0, "x"], 0), False, {"agents[0].x"}),
    "a node in a key frame": (
        change_frame(["record", "nodes", 0, "remaining"], 99),
        False,
        {"record.nodes[0].remaining"},
    ),
    "a neighbour in a key frame": (
        change_frame(["record", "neighbors", "N"], "chunk-9"),
        False,
        {"record.neighbors.N"},
    ),
    "somebody hidden in a key frame": (change_frame(["agents"], []), False, {"agents"}),
}


@pytest.mark.parametrize("name", SAID)
def test_what_is_changed_is_found_and_named(name: str, given: list[Given], tmp_path: Path) -> None:
    change, anew, fields = SAID[name]
    changed = change(given)
    if anew:
        changed = renumbered(changed)
    assert changed != given
    found = findings(write(tmp_path, changed))
    assert found, name
    assert {one.field for one in found} & fields, [one.line for one in found]
    first = next(one for one in found if one.field in fields)
    assert first.tick is not None
    assert first.shard in (0, 1)
    if "header" not in name and "seed" not in name:  # which are of no chunk
        assert first.chunk.startswith("chunk-"), first.line


# -- manipulations of the files --


def flip(at: float) -> Callable[[Path], object]:
    """One bit, at a place of the second segment between its beginning and its end."""

    def change(directory: Path) -> None:
        path = sorted(directory.glob("shard-000-*"))[1]
        data = bytearray(path.read_bytes())
        data[int(at * (len(data) - 1))] ^= 1
        path.write_bytes(data)

    return change


def cut(directory: Path) -> None:
    path = sorted(directory.glob("shard-000-*"))[1]
    path.write_bytes(path.read_bytes()[:-1_000])


def without_segment(directory: Path) -> None:
    sorted(directory.glob("shard-000-*"))[1].unlink()


def renamed(directory: Path) -> None:
    path = sorted(directory.glob("shard-000-*"))[1]
    path.rename(path.with_name(path.name.replace("shard-000", "shard-001")))


def exchanged(directory: Path) -> None:
    first, second = sorted(directory.glob("shard-000-*"))[:2]
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)


def emptied(directory: Path) -> None:
    sorted(directory.glob("shard-000-*"))[1].write_bytes(b"")


def longer(directory: Path) -> None:
    path = sorted(directory.glob("shard-000-*"))[1]
    path.write_bytes(path.read_bytes() + END)


FILES: Final[dict[str, Callable[[Path], object]]] = {
    **{f"a bit at {at}": flip(at) for at in (0.0, 0.002, 0.05, 0.2, 0.4, 0.6, 0.8, 0.97, 0.9995, 1.0)},
    "the end cut off": cut,
    "a segment removed": without_segment,
    "a segment under another shard's name": renamed,
    "two segments exchanged": exchanged,
    "a segment emptied": emptied,
    "something appended": longer,
}


@pytest.mark.parametrize("name", FILES)
def test_what_is_done_to_files_is_found(name: str, untouched: Path, tmp_path: Path) -> None:
    directory = tmp_path / "recordings"
    shutil.copytree(untouched, directory)
    FILES[name](directory)
    found = findings(directory)
    assert found, name
    assert all(one.segment for one in found)


def test_any_bit_anywhere_is_found(untouched: Path, tmp_path: Path) -> None:
    """A hundred places drawn anew each time: the seed is in the failure."""
    directory = tmp_path / "recordings"
    shutil.copytree(untouched, directory)
    seed = random.SystemRandom().randrange(10**6)
    dice = random.Random(seed)
    path = sorted(directory.glob("shard-001-*"))[1]
    for other in directory.glob("shard-000-*"):
        other.unlink()
    data = path.read_bytes()
    for _ in range(25):
        bit = dice.randrange(len(data) * 8)
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        assert findings(directory), f"seed {seed}, bit {bit}"


# -- rules --


def test_another_rule_is_found(untouched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by its version, which somebody forgot to raise: by what comes of it."""
    dug = HarvestRule.step

    def generous(self: HarvestRule, state: Any, actor: Any, running: Any) -> None:
        before = actor.gold
        dug(self, state, actor, running)
        actor.gold += actor.gold > before

    monkeypatch.setattr(HarvestRule, "step", generous)
    found = findings(untouched)
    assert found
    assert found[0].field.startswith("agents")
    assert found[0].chunk.startswith("chunk-")


def test_a_rule_that_raises_is_found(untouched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def raising(*_: Any) -> None:
        raise KeyError("nothing")

    monkeypatch.setattr("world.commands.move_to.cross", raising)
    assert cross is not raising
    found = findings(untouched)
    assert {one.field for one in found} >= {"rules"}


@pytest.mark.parametrize(("field", "value"), [("rules_version", RULES_VERSION + 1), ("format", FORMAT + 1)])
def test_another_version_is_said_plainly(given: list[Given], tmp_path: Path, field: str, value: int) -> None:
    """It is not run: no finding, and the remedy in a line."""
    changed = []
    for one in given:
        body = body_of(one)
        if "h" in body:
            body["h"][field] = value
            one = with_body(one, body)
        changed.append(one)
    verdict = verify(Directory(write(tmp_path, rechained(changed))))
    assert verdict.same
    assert verdict.not_run == verdict.segments > 0
    assert sum("use the release that wrote it" in note for note in verdict.notes) == verdict.not_run


# -- what watchers were told --


def published(given: list[Given]) -> dict[tuple[str, int], str]:
    found: dict[tuple[str, int], str] = {}
    for one in given:
        entry = read_entry(one.position.chain, unpack(one.message)[1])
        found |= {(chunk, entry.tick): one_line(parts) for chunk, parts in entry.digests.items()}
    return found


def test_published_digests_are_met(untouched: Path, given: list[Given]) -> None:
    told = published(given)
    verdict = verify(Directory(untouched), Wanted(published=told))
    assert verdict.same
    assert verdict.published == verdict.digests == len(told)


def test_a_recording_made_anew_is_found_by_what_watchers_were_told(given: list[Given], tmp_path: Path) -> None:
    """Of another story, with every hash made anew: nothing in it contradicts itself."""
    directory = write(tmp_path, played(seed=5, shards=2, ticks=TICKS))
    assert verify(Directory(directory)).same
    verdict: Proof = verify(Directory(directory), Wanted(published=published(given)))
    assert {one.field for one in verdict.findings} == {"published"}


def test_a_segment_can_be_read_alone(untouched: Path) -> None:
    for path in untouched.glob("*.ccrec"):
        with path.open("rb") as file:
            segment = Segment(file)
            assert segment.finished
            assert segment.blocks
