"""The demo actors of ``chunk-0``: real agents of the dev account that nobody needs to connect."""

from __future__ import annotations
