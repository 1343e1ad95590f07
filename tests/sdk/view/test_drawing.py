"""The terminal view, drawn into text."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from chunkcrawl.view.drawing import Window, chat_lines, draw_chunk, names_of, screen, window_around
from chunkcrawl.view.signs import Signs
from chunkcrawl.view.world_view import WorldView
from tests.sdk.builders import delta, event, static

GOLD = {"node_id": "g-1", "type": "gold", "x": 4, "y": 3, "max_remaining": 5}


def view() -> WorldView:
    found = WorldView("me")
    found.feed(event("chunk_static", **static(resource_nodes=[GOLD])))
    npcs = [{"id": "n", "x": 2, "y": 2, "kind": "slime"}]
    found.feed(event("chunk_delta", **delta(4, ("me", 1, 1), ("user-bob", 3, 3), ("user-?", 1, 3), npcs=npcs)))
    return found


def test_north_is_up_and_everything_has_its_sign() -> None:
    picture = draw_chunk(view(), Window(0, 0, 5, 5)).plain
    assert picture.split("\n") == ["#####", "#U.B$", "+.n.#", "#@..#", "#####"]


def test_two_columns_a_cell_keep_the_shape() -> None:
    picture = draw_chunk(view(), Window(0, 1, 3, 1), columns_per_cell=2).plain
    assert picture == "##@ ."


def test_the_window_follows_and_stays_inside() -> None:
    assert window_around((25, 25), (50, 50), (20, 10)) == Window(15, 20, 20, 10)
    assert window_around((0, 49), (50, 50), (20, 10)) == Window(0, 40, 20, 10)
    assert window_around((3, 3), (5, 5), (100, 100)) == Window(0, 0, 5, 5)
    assert window_around((3, 3), (5, 5), (-4, 0)) == Window(3, 3, 1, 1)


def printed(found: WorldView, columns: int, rows: int, *lines: str, commands: list[str] | None = None) -> str:
    """The view as text."""
    console = Console(file=io.StringIO(), width=columns, height=rows, force_terminal=False)
    console.print(screen(found, lines, "status", (columns, rows), commands=commands))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def chunk(*agents: tuple[str, int, int], me: str | None = None) -> WorldView:
    """A chunk of full size with all its neighbours."""
    neighbors = {"N": "chunk-113", "E": "chunk-100", "S": "chunk-18", "W": "chunk-115"}
    found = WorldView(me)
    found.feed(event("chunk_static", **static(tiles=["." * 50] * 50, neighbors=neighbors)))
    found.feed(event("chunk_delta", **delta(18493, *agents)))
    return found


@pytest.mark.parametrize(("columns", "rows"), [(30, 14), (60, 24), (80, 24), (80, 40), (120, 40), (150, 60)])
def test_the_screen_fits_any_terminal_and_cuts_no_fact_off(columns: int, rows: int) -> None:
    crowd = [(f"walker-{number}", number, 25) for number in range(12)]
    found = chunk(("me", 25, 25), *crowd, me="me")
    text = printed(found, columns, rows, "bob: hi", commands=["move_to 3,4  completed, 17 ticks"])
    assert len(text.splitlines()) <= rows
    assert max(map(len, text.splitlines())) <= columns
    facts = ("chunk-0", "tick 18493", "13 agents", "at 25,25", "E: chunk-100", "N: chunk-113", "S: chunk-18")
    wanted = (*facts, "W: chunk-115", "@", "bob: hi", "status")
    assert [part for part in wanted if part not in text] == []
    if rows >= 24:
        assert "move_to 3,4  completed, 17 ticks" in text


@pytest.mark.parametrize(("columns", "rows"), [(60, 24), (80, 24), (120, 40)])
def test_every_agent_has_a_sign_of_its_own_and_a_legend_says_whose_it_is(columns: int, rows: int) -> None:
    agents = [
        (f"{kind}-{number}", 20 + number, 20 + at) for at, kind in enumerate(("user", "bot")) for number in (1, 2)
    ]
    found = chunk(*agents)
    signs = Signs().of(names_of(found))
    assert len(set(signs.values())) == len(agents)
    text = printed(found, columns, rows)
    assert [name for name, sign in signs.items() if f"{sign} {name}" not in text] == []


def test_long_names_stay_apart_in_the_legend() -> None:
    names = [f"colony-of-the-{side}-lights-scout-000{number}" for side in ("northern", "southern") for number in (1, 2)]
    text = printed(chunk(*((name, 20 + at, 25) for at, name in enumerate(names))), 80, 24)
    shown = {line[54:].strip()[2:] for line in text.splitlines() if "colo" in line}
    assert len(shown) == 4


def test_more_agents_than_there_is_room_for_are_counted() -> None:
    crowd = [(f"walker-{number:03}", number % 50, number // 50) for number in range(200)]
    for columns in (60, 80, 120):
        text = printed(chunk(*crowd), columns, 24)
        assert re.search(r"and 1\d\d more", text)
        assert len(text.splitlines()) <= 24


def test_before_anything_is_known_it_says_so() -> None:
    console = Console(file=io.StringIO(), width=60)
    console.print(screen(WorldView("me"), [], "no answer yet", (60, 20)))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "waiting" in text
    assert "no answer yet" in text


def test_what_strangers_say_cannot_drive_the_terminal() -> None:
    said = {"type": "chat", "from": "eve\x1b[2J", "text": "a\r\nb\x1b]0;x\x07[bold]" + "z" * 500}
    (line,) = chat_lines(event("chunk_delta", **delta(1, events=[said, {"type": "agent_left", "agent_id": "x"}])))
    assert line.isprintable()
    assert line.startswith("eve [2J: a  b ]0;x [bold]zz")
    assert len(line) < 220


def test_names_and_ids_are_text_for_the_terminal_too() -> None:
    odd = "\x1b]0;x\x07[red]__proto__\u202e\n"
    found = WorldView("me")
    found.feed(event("chunk_static", **static(odd, neighbors={"N": odd})))
    npcs = [{"id": odd, "x": 2, "y": 2, "kind": odd}]
    agents = [{"id": "me", "x": 1, "y": 1}, {"id": "__proto__", "x": 3, "y": 3, "name": odd}]
    found.feed(event("chunk_delta", **delta(4, chunk_id=odd, agents=agents, npcs=npcs)))
    text = printed(found, 80, 24, odd, commands=[odd])
    assert all(letter.isprintable() or letter == "\n" for letter in text)
    assert text.count("[red]__proto__") == 5
    assert len(text.splitlines()) <= 24


def test_other_events_have_their_lines_or_none() -> None:
    assert chat_lines(event("heartbeat")) == []
    assert chat_lines(event("command_result", status="completed")) == []
