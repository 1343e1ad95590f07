"""Saying something: heard by everyone in the chunk in the next step.

How often an agent may speak, and moderation, are decided before a command comes here.
"""

from __future__ import annotations

from world.actors import Actor
from world.commands import Say
from world.inputs import Submit
from world.running import Saying
from world.state import ShardState


def plan_say(state: ShardState, command: Say, submit: Submit) -> Saying:
    """A line to be said in the next step."""
    return Saying(state.ticket(submit), command.text)


def speak(state: ShardState, actor: Actor, running: Saying) -> None:
    """The chunk hears it."""
    state.event(actor.chunk, "chat", **{"from": actor.id, "text": running.text})
    state.fact("chat", actor.chunk.id, actor.id, text=running.text)
    state.finish(actor, "completed")
