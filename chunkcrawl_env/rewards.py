"""What events are worth: functions from an event to agents and numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

#: An event as it stands in a ``chunk_delta`` (docs/protocol.md), ``type`` and its fields.  With ``private_events``
#: also what one agent alone is told, with the fields of the wire's payload, ``type`` and ``agent_id``.
WorldEvent = Mapping[str, Any]
#: Asked about every event of a step; returns pairs of an agent's id and what it gets for it.
Reward = Callable[[WorldEvent], Iterable[tuple[str, float]]]


def gold_harvested(event: WorldEvent) -> Iterable[tuple[str, float]]:
    """Give each agent 1 for each unit of gold that it digs."""
    if event["type"] == "resource_harvest":
        return ((event["by"], float(event["amount"])),)
    return ()


def gold_owned(event: WorldEvent) -> Iterable[tuple[str, float]]:
    """Give each agent 1 for each unit that it digs or is given, and -1 for each that it gives away."""
    if event["type"] == "resource_given":
        amount = float(event["amount"])
        return ((event["from"], -amount), (event["to"], amount))
    return gold_harvested(event)
