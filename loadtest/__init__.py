"""Load testing: simulated agents and spectators in Ray tasks, against any server of the wire contract.

    driver (run) ─► Fleet ─► one task each: Generator ─► Players, Spectators ─► the server
          ▲                        │
          └── Switchboard ◄────────┘  a sample a second there, orders back

The generators know the server only over HTTP, WebSocket and event streams; see docs/load-testing.md.
"""
