from __future__ import annotations

from recordings.agent_page import AFTER_DELTA, BEFORE_DELTA, AgentPage, OrderPlace, Told
from recordings.past_page import Gap, PastDelta, PastPage


def told(tick: int, rank: int, payload: bytes) -> Told:
    return Told(tick, OrderPlace(tick, rank), "command_ack", f"trace-{tick}", payload, 1_000 + tick)


def test_what_is_packed_is_unpacked() -> None:
    chunk = PastPage("chunk-0", 3, 9, Gap(3, 4, "missing"), b'{"a":1}', b'{"b":2}', [PastDelta(6, b"{}", 7)])
    page = AgentPage(chunk, [told(5, AFTER_DELTA, b'{"one":1}'), told(6, BEFORE_DELTA, b"{}")], True, True, 9, 12)
    assert AgentPage.unpack(page.pack()) == page
    empty = AgentPage(PastPage("chunk-1", 1, 0, ended=True))
    assert AgentPage.unpack(empty.pack()) == empty


def test_a_commits_own_events_come_before_its_delta_and_those_of_inputs_after_it() -> None:
    before, after = told(6, BEFORE_DELTA, b"1"), told(6, AFTER_DELTA, b"2")
    later = told(7, BEFORE_DELTA, b"3")
    deltas = [PastDelta(6, b"{}", 1), PastDelta(8, b"{}", 2)]
    page = AgentPage(PastPage("chunk-0", 5, 9, deltas=deltas), [before, after, later])
    assert [item for _, item in page.items()] == [before, deltas[0], after, later, deltas[1]]
