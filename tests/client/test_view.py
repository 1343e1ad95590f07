"""The terminal view, drawn into text."""

from __future__ import annotations

import io

from rich.console import Console

from client.mirror import Mirror
from client.view import Window, chat_lines, draw_chunk, screen, window_around
from tests.client.builders import delta, event, static

GOLD = {"node_id": "g-1", "type": "gold", "x": 4, "y": 3, "max_remaining": 5}


def mirror() -> Mirror:
    found = Mirror("me")
    found.feed(event("chunk_static", **static(resource_nodes=[GOLD])))
    npcs = [{"id": "n", "x": 2, "y": 2, "kind": "slime"}]
    found.feed(event("chunk_delta", **delta(4, ("me", 1, 1), ("user-bob", 3, 3), ("user-?", 1, 3), npcs=npcs)))
    return found


def test_north_is_up_and_everything_has_its_sign() -> None:
    picture = draw_chunk(mirror(), Window(0, 0, 5, 5)).plain
    assert picture.split("\n") == ["#####", "#a.B$", "+.n.#", "#@..#", "#####"]


def test_two_columns_a_cell_keep_the_shape() -> None:
    picture = draw_chunk(mirror(), Window(0, 1, 3, 1), columns_per_cell=2).plain
    assert picture == "##@ ."


def test_the_window_follows_and_stays_inside() -> None:
    assert window_around((25, 25), (50, 50), (20, 10)) == Window(15, 20, 20, 10)
    assert window_around((0, 49), (50, 50), (20, 10)) == Window(0, 40, 20, 10)
    assert window_around((3, 3), (5, 5), (100, 100)) == Window(0, 0, 5, 5)
    assert window_around((3, 3), (5, 5), (-4, 0)) == Window(3, 3, 1, 1)


def test_the_screen_fits_a_small_terminal_and_a_large_one() -> None:
    for columns, rows in ((30, 14), (120, 70)):
        console = Console(file=io.StringIO(), width=columns, height=rows, force_terminal=False)
        console.print(screen(mirror(), ["bob: hi"], "status", (columns, rows)))
        text = console.file.getvalue()  # type: ignore[attr-defined]
        assert "@" in text
        assert "bob: hi" in text
        assert len(text.splitlines()) <= rows


def test_before_anything_is_known_it_says_so() -> None:
    console = Console(file=io.StringIO(), width=60)
    console.print(screen(Mirror("me"), [], "", (60, 20)))
    assert "waiting" in console.file.getvalue()  # type: ignore[attr-defined]


def test_what_strangers_say_cannot_drive_the_terminal() -> None:
    said = {"type": "chat", "from": "eve\x1b[2J", "text": "a\r\nb\x1b]0;x\x07[bold]" + "z" * 500}
    (line,) = chat_lines(event("chunk_delta", **delta(1, events=[said, {"type": "agent_left", "agent_id": "x"}])))
    assert line.isprintable()
    assert line.startswith("eve [2J: a  b ]0;x [bold]zz")
    assert len(line) < 220


def test_other_events_have_their_lines_or_none() -> None:
    assert chat_lines(event("heartbeat")) == []
    assert chat_lines(event("command_result", status="completed")) == []
    assert chat_lines(event("command_result", status="failed", reason="blocked")) == ["failed: blocked"]
