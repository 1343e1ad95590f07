"""The running world for the client's live tests: one for the session, started when the first test needs it."""

from __future__ import annotations

from client.testing import world

__all__ = ["world"]
