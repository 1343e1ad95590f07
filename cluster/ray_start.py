"""How Ray is started for one run alone, or a running cluster joined.  Knows nothing of the world.

A cluster of our own is nobody else's: it listens on loopback, and whoever calls one of its processes shows a token
that was made for this run and is known to them by their environment only.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import threading
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

import ray
import ray._private.node
import ray._private.ray_constants
import ray._private.services
import ray._private.utils
import ray._private.worker
import ray._raylet
from ray.job_config import JobConfig

from cluster import ray_directory
from cluster.own_path import HOME, source_tree
from cluster.ray_directory import RunDirectory

__all__ = ["RAY_ENVIRONMENT", "join_ray", "leave_ray"]

#: Ray gives its node 30 s to come up, which a machine that is busy with other things may need twice.
START_TRIES: Final = 3

OBJECT_STORE_BYTES: Final = 80 * 1024 * 1024
TOKEN_BYTES: Final = 32

#: Environment of a cluster of our own: no usage reports; no task events, which cost the GCS some 3 kB a call.
RAY_ENVIRONMENT: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_task_events_report_interval_ms": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_worker_niceness": "0",  # workers are the game here, not batch jobs beside something more important
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_memory_monitor_refresh_ms": "1000",  # four times a second it costs as much as the rest of an idle raylet
}

#: What may end us while Ray starts.
HEEDED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

#: Ray's own switch for "one machine, loopback only".  An address given as 127.0.0.1 it replaces by one that others
#: reach, and then all its servers listen on every interface.
LOOPBACK_ONLY: Final = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


def join_ray(address: str | None, namespace: str, *, num_cpus: int | None = None) -> RunDirectory | None:
    """Start a cluster of our own (returns its directory) or join the running one at ``address`` (returns None).

    Call it in a thread that lives as long as the cluster: Ray's processes get a signal when the thread that started
    them ends.  A bare ``ray.init()`` is never an option, since it may join somebody else's cluster.  Handlers of
    signals stay as they are.

    Args:
        num_cpus: Processors of the cluster of our own; None for the machine's.

    Raises:
        ConnectionError: the cluster at ``address`` can't be joined.
        ServiceError: there is no place for the directory.
    """
    common: dict[str, Any] = {"namespace": namespace, "log_to_driver": False, "logging_level": "ERROR"}
    if address is not None:
        with _signals_left_alone():
            ray.init(address=address, job_config=_job_config(), **common)
        return None
    ray_directory.remove_stale()
    for tries_left in range(START_TRIES - 1, -1, -1):
        directory = ray_directory.make()
        try:
            with _signals_left_alone(), _own_cluster():
                ray.init(
                    address="local",
                    num_cpus=num_cpus,
                    include_dashboard=False,
                    object_store_memory=OBJECT_STORE_BYTES,
                    job_config=_job_config(),
                    _temp_dir=str(directory.for_ray),
                    **common,
                )
        except BaseException as error:
            leave_ray(directory)
            if not tries_left or not isinstance(error, Exception) or "timed out" not in str(error):
                raise  # Ray raises bare ones
        else:
            return directory
    raise AssertionError("unreachable")


def leave_ray(directory: RunDirectory | None) -> None:
    """End the cluster of our own, or leave the one that was joined."""
    ray.shutdown()
    if directory is not None:
        directory.remove()


# -- parts --


class _FixedPaths(list[str]):
    """Paths that Ray adds nothing to."""

    def extend(self, more: Any) -> None:
        """Add nothing: ``more`` is the driver's working directory and that of its script, a user's files."""


def _job_config() -> JobConfig:
    """Return where workers look modules up: where they are installed, and our sources where we run from those."""
    config = JobConfig()
    config._py_driver_sys_path = _FixedPaths([str(HOME)] if source_tree() else [])
    return config


class _InOwnSession(ray._private.services.ConsolePopen):
    """A server of Ray in a session of its own: a signal to our process group (``timeout``, ``kill -- -PID``) ends us.

    Ray, which would go with us at once, is ended by us when the world is.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, start_new_session=True, **kwargs)


@contextlib.contextmanager
def _own_cluster() -> Iterator[None]:
    """Set what Ray's processes read from the environment, and how they are started, for as long as they start."""
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(TOKEN_BYTES)}
    wanted = {name: os.environ.get(name, value) for name, value in RAY_ENVIRONMENT.items()}
    constants, node = ray._private.ray_constants, cast("Any", ray._private.node.Node)
    services: Any = ray._private.services
    before = (constants.ENABLE_RAY_CLUSTER, services.ConsolePopen, node.start_log_monitor)
    with _environment(wanted | LOOPBACK_ONLY | token):
        constants.ENABLE_RAY_CLUSTER, services.ConsolePopen = False, _InOwnSession
        # It takes the workers' lines to drivers that want them (``log_to_driver``), looks twice a second for new
        # files, and has no switch.
        node.start_log_monitor = lambda _: None
        # This process may have read both before.
        raylet: Any = ray._raylet
        raylet.Config.initialize("")
        raylet.AuthenticationTokenLoader.instance().reset_cache()
        try:
            yield
        finally:
            constants.ENABLE_RAY_CLUSTER, services.ConsolePopen, node.start_log_monitor = before


@contextlib.contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _signals_left_alone() -> Iterator[None]:
    """Keep Ray from taking signals, first in Python and then, as it connects, in C++.

    Its handler of SIGTERM leaves the process in the middle of whatever is done, the one in C++ by ``abort``.
    """
    utils, worker = ray._private.utils, ray._private.worker
    set_handler, connect = utils.set_sigterm_handler, worker.connect

    def connect_unheard(*args: Any, **kwargs: Any) -> Any:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, HEEDED)
        try:
            return connect(*args, **kwargs)
        finally:
            _take_back_signals()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    utils.set_sigterm_handler = lambda handler: None
    worker.connect = connect_unheard
    try:
        yield
    finally:
        utils.set_sigterm_handler, worker.connect = set_handler, connect


def _take_back_signals() -> None:
    """Put Python's handlers where C++ has put its own; nothing in a thread in which Python runs none."""
    if threading.current_thread() is threading.main_thread():
        for number in HEEDED:
            if (handler := signal.getsignal(number)) is not None:
                signal.signal(number, handler)
