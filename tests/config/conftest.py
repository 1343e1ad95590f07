"""An environment without settings."""

from __future__ import annotations

import os

import pytest


@pytest.fixture
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what this machine sets."""
    for name in os.environ:
        if name.startswith("CHUNKCRAWL_"):
            monkeypatch.delenv(name)
