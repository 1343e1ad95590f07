"""What events are worth."""

from __future__ import annotations

from chunkcrawl_env.rewards import gold_harvested, gold_owned

HARVEST = {"type": "resource_harvest", "node_id": "n", "by": "a", "amount": 2}
GIFT = {"type": "resource_given", "from": "a", "to": "b", "amount": 3, "resource": "gold"}


def test_gold() -> None:
    assert list(gold_harvested(HARVEST)) == [("a", 2.0)]
    assert list(gold_harvested(GIFT)) == []
    assert list(gold_owned(HARVEST)) == [("a", 2.0)]
    assert list(gold_owned(GIFT)) == [("a", -3.0), ("b", 3.0)]
    assert list(gold_owned({"type": "chat", "from": "a", "text": "x"})) == []
