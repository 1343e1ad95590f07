"""Accounts and keys kept between runs: one JSON file, readable by its owner alone.

It lies in the user's configuration directory, or in ``CHUNKCRAWL_CONFIG_DIR``.  Entries are kept per server address.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Final

import msgspec

__all__ = ["Credentials", "CredentialsFile", "config_dir"]

FILE_NAME: Final = "credentials.json"


class Credentials(msgspec.Struct, omit_defaults=True):
    """What is known about an account on one server.  Everything but ``email`` and the ids is secret."""

    email: str = ""
    account_id: str = ""
    account_token: str = ""
    password: str = ""
    key_id: str = ""
    api_key: str = ""

    def __repr__(self) -> str:
        """Without the secrets."""
        return f"Credentials(email={self.email!r}, account_id={self.account_id!r}, key_id={self.key_id!r})"


def config_dir() -> Path:
    """Return ``CHUNKCRAWL_CONFIG_DIR`` if it is set, else the platform's directory for a user's configuration."""
    named = os.environ.get("CHUNKCRAWL_CONFIG_DIR")
    if named:
        return Path(named).expanduser()
    import typer  # only here: whoever names a directory needs no command line library

    return Path(typer.get_app_dir("chunkcrawl"))


class CredentialsFile:
    """The file.  Every change is written at once, in one step, so that a crash leaves the old or the new one."""

    def __init__(self, path: Path | None = None) -> None:
        """``path``: another file than the usual one."""
        self.path = path or config_dir() / FILE_NAME

    def load(self, base: str) -> Credentials:
        """Return what is kept for a server; empty when nothing is.

        Raises:
            ValueError: The file is not ours to read as JSON; it says which.
        """
        return self._all().get(_normal(base), Credentials())

    def save(self, base: str, credentials: Credentials) -> None:
        """Keep it.

        Raises:
            OSError: The file can't be written.
            ValueError: There is a file already and it is not ours.
        """
        entries = self._all() | {_normal(base): credentials}
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # mkstemp makes the file with mode 0600 before anything is in it.
        handle, draft = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(entries)))
            Path(draft).replace(self.path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(draft).unlink()
            raise

    def _all(self) -> dict[str, Credentials]:
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return {}
        if self.path.stat().st_mode & 0o077:
            self.path.chmod(0o600)
        try:
            return msgspec.json.decode(text, type=dict[str, Credentials])
        except ValueError as error:
            raise ValueError(f"{self.path} is no credentials file: {error}") from error


def _normal(base: str) -> str:
    return base.rstrip("/").lower()
