"""The proof of API keys: one indexed SELECT at most, and none for a key that was proved a moment ago.

The cache can't keep a revoked key alive: opening a session checks the revocation in Redis (``api.accounts.sessions``).
"""

from __future__ import annotations

import hmac
import time
from collections import OrderedDict
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from api.accounts.tokens import api_key_prefix, sha256_hex
from api.errors import ApiError
from store import api_keys
from store.api_keys import KeyProof
from streaming.shared_clock import utc_now

CACHE_S: Final = 10.0
CACHED_KEYS: Final = 10_000


class KeyRefused(ApiError):
    """``invalid_api_key``.  ``account_id``: whose key it would have been, None when there is no such key."""

    def __init__(self, account_id: str | None) -> None:
        super().__init__("invalid_api_key")
        self.account_id = account_id


class KeyRing:
    """Proves API keys."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._cached: OrderedDict[str, tuple[float, KeyProof]] = OrderedDict()

    async def prove(self, plain: str) -> KeyProof:
        """Return what is known of the API key ``plain``.

        Raises:
            KeyRefused: ``invalid_api_key``: unknown, wrong, expired or revoked.
        """
        prefix = api_key_prefix(plain)
        found = None if prefix is None else await self._find(prefix)
        if found is None or not hmac.compare_digest(sha256_hex(plain), found.key_hash):
            raise KeyRefused(None if found is None else found.account_id)
        if found.revoked_at is not None or (found.expires_at is not None and found.expires_at <= utc_now()):
            raise KeyRefused(found.account_id)
        return found

    def forget(self, key_id: str) -> None:
        """Drop a key from the cache."""
        for prefix in [prefix for prefix, (_, proof) in self._cached.items() if proof.key_id == key_id]:
            del self._cached[prefix]

    async def _find(self, prefix: str) -> KeyProof | None:
        cached = self._cached.get(prefix)
        if cached is not None and time.monotonic() - cached[0] < CACHE_S:
            return cached[1]
        found = await api_keys.find(self._engine, prefix)
        if found is not None:
            self._cached[prefix] = (time.monotonic(), found)
            self._cached.move_to_end(prefix)
            if len(self._cached) > CACHED_KEYS:
                self._cached.popitem(last=False)
        return found
