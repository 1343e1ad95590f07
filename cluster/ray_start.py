"""How Ray is started for one run alone, or a running cluster joined. Knows nothing of the world."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import ray

__all__ = ["RAY_ENVIRONMENT", "join_ray", "leave_ray"]

#: Ray gives its node 30 s to come up, which a machine that is busy with other things may need twice.
START_TRIES = 3

OBJECT_STORE_BYTES = 80 * 1024 * 1024

#: For a cluster of our own.  No usage reports; no task events, which cost the GCS some 3 kB a call.
RAY_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_task_events_report_interval_ms": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_worker_niceness": "0",  # workers are the game here, not batch jobs beside something more important
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def join_ray(address: str | None, namespace: str, *, num_cpus: int | None = None) -> Path | None:
    """Start a cluster of our own (returns its temp directory) or join the running one at ``address`` (returns None).

    Call it in a thread that lives as long as the cluster: Ray's processes get a signal when the thread that started
    them ends.  A bare ``ray.init()`` is never an option, since it may join somebody else's cluster.

    Args:
        num_cpus: Processors of the cluster of our own; None for the machine's.

    Raises:
        ConnectionError: the cluster at ``address`` can't be joined.
    """
    common: dict[str, Any] = {"namespace": namespace, "log_to_driver": False, "logging_level": "ERROR"}
    if address is not None:
        ray.init(address=address, **common)
        return None
    for name, value in RAY_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for tries_left in range(START_TRIES - 1, -1, -1):
        temp_dir = Path(tempfile.mkdtemp(prefix="ccray-"))  # short: socket paths have a limit of 107 characters
        try:
            ray.init(
                address="local",
                num_cpus=num_cpus,
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                _temp_dir=str(temp_dir),
                **common,
            )
        except Exception as error:  # Ray raises bare ones
            leave_ray(temp_dir)
            if not tries_left or "timed out" not in str(error):
                raise
        else:
            return temp_dir
    raise AssertionError("unreachable")


def leave_ray(temp_dir: Path | None) -> None:
    """End the cluster of our own, or leave the one that was joined."""
    ray.shutdown()
    if temp_dir is not None:
        shutil.rmtree(temp_dir, ignore_errors=True)
