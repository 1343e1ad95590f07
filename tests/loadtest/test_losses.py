"""What is said of losses: commands against results, facts against the event log."""

from __future__ import annotations

import pytest

from loadtest.losses import event_log_counters, event_log_counts, event_log_part, event_log_text, is_lost, losses_text
from loadtest.mailbox import Orders
from loadtest.server_page import ServerPage
from loadtest.totals import Totals
from tests.loadtest.makers import sample

NOTHING = {
    "facts": 100.0,
    "written": 90.0,
    "waiting": 10.0,
    "lost": 0.0,
    "refused": 0.0,
    "undone": 0.0,
    "restarts": 0.0,
}


def told(*, acks: int = 5, results: int = 5, twice: int = 0, interrupted: bool = False) -> str:
    made = Totals(1)
    made.add(sample(0, 0, acks=acks, results=results, results_twice=twice), Orders(0, 1))
    return losses_text(made, interrupted=interrupted)


def test_losses_are_said_in_words() -> None:
    assert told() == "Nothing lost: each of 5 accepted commands had exactly one result."
    assert told(results=3) == "LOST: 2 of 5 accepted commands had no result."
    assert told(twice=1) == "LOST: 1 had two."
    assert told(results=6) == "LOST: 1 results came for commands whose ack never did."
    assert "still ran when this was interrupted" in told(results=4, interrupted=True)
    assert told(acks=0, results=0) == "No command was accepted, so none could be lost."


@pytest.mark.parametrize(
    ("grown", "says", "lost"),
    [
        ({"facts": 50, "written": 60, "waiting": -10}, "each of 50 facts is in it, once", False),
        ({"facts": 50, "written": 50}, "each of 50 facts is in it, once", False),
        ({"facts": 50, "written": 45, "waiting": 5}, "of 50 facts 5 still wait", False),
        ({"facts": 50, "written": 48}, "2 not to be found", True),
        ({"facts": 50, "written": 53}, "3 written twice", True),
        ({"facts": 50, "written": 53, "restarts": 1}, "50 facts were counted, 53 written", False),
        ({"facts": 50, "written": 48, "restarts": 2}, "not judged. 2 processes began anew", False),
        ({"facts": 50, "written": 48, "lost": 1, "restarts": 2}, "1 cut off before it was read.", True),
        ({"facts": 50, "written": 50, "restarts": 1}, "each of 50 facts is in it, once", False),
        ({"facts": 50, "written": 44, "lost": 4, "refused": 2}, "4 cut off before it was read, 2 refused", True),
        ({"facts": 50, "written": 50, "undone": 3}, "3 taken out again", True),
    ],
)
def test_the_event_log_is_checked(grown: dict[str, float], says: str, lost: bool) -> None:
    after = {name: value + grown.get(name, 0.0) for name, value in NOTHING.items()}
    counts = event_log_counts(NOTHING, after)
    assert says in event_log_text(counts)
    assert is_lost(event_log_text(counts)) is lost
    assert counts.is_settled is ("wait" not in says and (counts.unexplained == 0 or counts.restarts > 0))


def test_a_server_that_does_not_count_facts_is_not_judged() -> None:
    assert event_log_counters(ServerPage("agent_connections 0\narchive_events_total 3\n")) is None
    assert event_log_text(None) == ""
    assert event_log_part(None) is None
    page = "agent_connections 0\narchive_facts_total 5\narchive_events_total 3\narchive_entries_waiting 2\n"
    found = event_log_counters(ServerPage(page))
    assert found is not None
    assert (found["facts"], found["written"], found["waiting"], found["lost"]) == (5, 3, 2, 0)
    part = event_log_part(event_log_counts(found, found))
    assert part is not None
    assert part["unexplained"] == 0
