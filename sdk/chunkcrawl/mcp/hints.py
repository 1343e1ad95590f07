"""What to do about a refusal: one sentence for each reason code, with what the view knows filled in.  Pure."""

from __future__ import annotations

from typing import Final

from chunkcrawl.errors import BannedWords, Blocked, ChunkcrawlError, CommandRefused, Unreachable
from chunkcrawl.journeys.outcomes import NoGold, NoWay, Outcome, TimedOut
from chunkcrawl.view.paths import Point
from chunkcrawl.view.world_view import WorldView

__all__ = ["HINTS", "code_of", "hint_for", "hint_for_outcome"]

HINTS: Final = {
    "busy": "Another command of this agent is still running; wait for it, then try again.",
    "rate_limited": "Too fast; a chat message is allowed every 2 s.",
    "muted": "This agent may not talk for now; it may walk and harvest.",
    "banned_words": "Not said: it holds a word that nobody may say here. Say it in other words, or not at all.",
    "out_of_bounds": "x and y must be 0..49, local to the present chunk.",
    "unreachable": "Choose a free floor cell from observe.",
    "invalid_cmd": "The command is malformed; a text has 1..200 characters on one line.",
    "node_not_found": "There is no such node in this chunk; take a node_id from observe.",
    "too_far": "Stand on a cell beside it first.",
    "agent_not_found": "No agent of that id stands in this chunk; take one from observe.",
    "insufficient": "You do not have that much gold; observe says how much you carry.",
    "depleted": "That node is empty; it grows back in time. Try another one.",
    "auth_failed": "The server did not take the signature; try once more.",
    "expired_challenge": "The answer came too late; try once more.",
    "blocked": "Somebody stands there; you are where you were stopped. Go around, or wait a moment.",
    "interrupted_by_new_command": "Your own next command ended it; what was taken is yours.",
    "outcome_unknown": "Its result was lost; call observe to see what happened before you repeat it.",
    "notes_full": "You have as many notes as you may have: forget one, or write over one.",
    "note_not_found": "There is no note of that name; recall lists all.",
    "taken_over": "Another client plays this agent now; this one is out.",
}

#: What helps when there is no way, by ``NoWay.why``.
NO_WAY_HINTS: Final = {
    "unknown_chunk": "Go to a chunk that map lists, or explore.",
    "chunk_gone": "It does not come back; map lists what is there.",
    "wall": "Choose a floor cell from observe.",
    "boundary": "Choose a cell that is not on the edge; move_to leads through an exit.",
    "closed": "Take another way; map lists the doors.",
    "crowded": "Wait a moment, then try again, or take another way.",
}


def code_of(error: ChunkcrawlError) -> str:
    """Return the most precise code that has a remedy of its own, else the reason."""
    code = error.code if isinstance(error, CommandRefused) else None
    return code if code in HINTS else error.reason


def hint_for(error: ChunkcrawlError, view: WorldView, target: Point | None = None) -> str:
    """Return the remedy for an error, empty when none is known; ``target`` is where a move was to lead."""
    parts = [HINTS.get(code_of(error), "")]
    if isinstance(error, Unreachable):
        obstacle = error.obstacle or (view.obstacle(*target) if target else "")
        parts.insert(0, f"{obstacle}." if obstacle else "")
        free = view.next_free(*target) if target else None
        if free is not None and free not in (target, view.position):
            parts.append(f"The nearest free one is {free[0]},{free[1]}.")
    if isinstance(error, BannedWords) and error.warning:
        parts.append(f"Mind: {error.warning}.")
    if error.reason in ("too_far", "node_not_found", "depleted"):
        found = view.nearest_gold()
        if found is not None:
            node, cell = found
            parts.append(f"Nearest with gold: {node.node_id}, stand at {cell[0]},{cell[1]}.")
    if isinstance(error, Blocked) and error.blocked_at is not None:
        parts.append(
            f"Blocked at {error.blocked_at[0]},{error.blocked_at[1]} by {error.blocker.get('id', 'somebody')}."
        )
    if isinstance(error, CommandRefused) and error.retry_after_ms is not None:
        parts.append(f"Try again in {error.retry_after_ms} ms.")
    return " ".join(part for part in parts if part)


def hint_for_outcome(outcome: Outcome) -> str:
    """Return what helps after a journey that did not reach its aim; empty after one that did."""
    if isinstance(outcome, NoWay):
        return NO_WAY_HINTS.get(outcome.why, "")
    if isinstance(outcome, NoGold):
        return "Explore, or come back later: gold grows back."
    return "Call it again to go on." if isinstance(outcome, TimedOut) else ""
