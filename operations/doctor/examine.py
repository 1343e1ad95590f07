"""All checks in their order; none of them may keep the others from being made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from operations.doctor import machine, running, stores
from operations.doctor.finding import Check, Finding, Installation, Result, Skipped

#: Name and check; later ones use what earlier ones have learnt.
CHECKS: Final[Mapping[str, Check]] = {
    "versions": machine.versions,
    "secrets": machine.secrets,
    "disk": machine.disk,
    "database": stores.database,
    "redis": stores.redis,
    "clocks": stores.clocks,
    "gateways": running.gateways,
    "shards": running.shards,
    "open files": machine.open_files,
    "event log": running.event_log,
    "backups": running.backups,
}


async def examine(installation: Installation, checks: Mapping[str, Check] = CHECKS) -> list[Result]:
    """Make every check; takes seconds, however much is broken."""
    results = []
    for name, check in checks.items():
        result = Result(name)
        try:
            result.findings = list(await check(installation))
        except Skipped as why:
            result.skipped = str(why)
        except Exception as error:  # a check that fails is a finding too, and no reason to stop
            reason = f"the check itself failed: {type(error).__name__}"
            result.findings = [Finding(reason, "tell the developers; the other checks count")]
        results.append(result)
    return results
