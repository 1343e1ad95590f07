"""Load testing: simulated agents and spectators in Ray tasks, against any server of the wire contract.

    driver (run) ─► RayGenerators ─► one task each: Generator ─► agents, spectators ─► the server
       ▲  ▲                             │                                               │
       │  └──── Mailbox ◄───────────────┘  a sample a second there, orders back         │
       └─────── ServerWatch ◄────────────── its metrics page, every two seconds ────────┘

The generators know the server only over HTTP, WebSocket and event streams; see docs/load-testing.md.
"""
