"""The operators' commands, as ``chunkcrawl`` finds them.  Importing this loads nothing else of the server."""

from __future__ import annotations

from typing import Final

from chunkcrawl.commands.table import Lazy, Table

TABLE: Final = Table(
    {
        "up": Lazy("cli.up_command:app", "Start the world on this machine and keep it running until Ctrl-C."),
        "load": Lazy("cli.load:app", "Load a server with simulated agents, and report."),
        "estimate": Lazy("cli.estimate:app", "Estimate what a world of a given size takes."),
        "status": Lazy("cli.status:app", "Show nodes, shards, gateways and tick times."),
        "scale": Lazy("cli.status:app", "Change the number of shards while the world runs."),
        "pin": Lazy("cli.moves:app", "Keep a chunk or a shard out of balancing."),
        "unpin": Lazy("cli.moves:app", "Let a chunk or a shard be balanced again."),
        "drain": Lazy("cli.drain:app", "Move the world off a node of the Ray cluster."),
        "undrain": Lazy("cli.drain:app", "Let the world use a drained node again."),
        "mute": Lazy("cli.moderation:app", "Keep an agent from talking for a while."),
        "unmute": Lazy("cli.moderation:app", "Let an agent talk again, and forget its strikes."),
        "strikes": Lazy("cli.moderation:app", "Show an agent's violations and mute."),
        "ban": Lazy("cli.operators:app", "Keep an agent or an account out."),
        "unban": Lazy("cli.operators:app", "End a ban."),
        "operator": Lazy("cli.operators:app", "Make, list and revoke operators' tokens."),
        "audit": Lazy("cli.operators:app", "Show what operators did."),
        "operate": Lazy("cli.steering:app", "Make any call of the operators' API."),
        "freeze": Lazy("cli.steering:app", "Let a chunk or the world stand still."),
        "thaw": Lazy("cli.steering:app", "Let what was frozen go on."),
        "announce": Lazy("cli.steering:app", "Tell everybody who is connected a line."),
        "disconnect": Lazy("cli.steering:app", "Close an agent's connections."),
        "doctor": Lazy("cli.doctor:app", "Check a deployment, with a remedy for each finding."),
        "fsck": Lazy("cli.fsck:app", "Check that the world in Redis is whole."),
        "history": Lazy("cli.history:app", "Show what an agent did or what happened in a chunk."),
        "backup": Lazy("cli.backup:app", "Write a backup while the game runs, or check one."),
        "restore": Lazy("cli.backup:app", "Restore a backup, or rebuild a lost Redis from the database."),
        "show-chunk": Lazy("cli.world_tools:app", "Draw a chunk's terrain from its seed."),
        "verify": Lazy("cli.verify:app", "Prove recordings: run them again and compare."),
        "fork": Lazy("cli.fork:app", "Make a private world from a moment of a recording."),
        "replay": Lazy("cli.world_tools:app", "Run a recording of a shard again."),
    },
    begin="cluster.own_path:use_own_packages",
    check="cli.unknown_variables:refuse_unknown_variables",
)
