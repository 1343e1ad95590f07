"""A Ray cluster on this machine whose autoscaler adds and removes nodes: Ray's own fake provider.

``ray.cluster_utils.AutoscalingCluster`` is of the same parts, but ends every Ray of this machine (``ray stop``).
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import ray._private.services
from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID

from cluster.ray_start import RAY_ENVIRONMENT
from embedded.children import free_port

STORE_BYTES = 80 * 1024 * 1024
END_S = 20.0
#: What Ray's schema wants to be there.
LISTS = (
    *("cluster_synced_files", "rsync_exclude", "rsync_filter", "initialization_commands", "setup_commands"),
    *("head_setup_commands", "worker_setup_commands", "head_start_ray_commands", "worker_start_ray_commands"),
)
EMPTY: dict[str, Any] = {
    **{name: [] for name in LISTS},
    **{name: {} for name in ("auth", "docker", "file_mounts")},
    "file_mounts_sync_continuously": False,
}


@contextmanager
def autoscaling_ray(directory: Path, *, cpus: float, least: int, most: int, idle_s: float) -> Iterator[str]:
    """The address of a cluster with a head without CPUs and ``least`` to ``most`` nodes that have some."""
    services: Any = ray._private.services
    address = f"{services.get_node_ip_address()}:{free_port()}"
    config = directory / "autoscaling.json"
    config.write_text(json.dumps(_config(address, cpus, least, most, idle_s)))
    argv = [
        *(str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--num-cpus=0"),
        *(f"--port={address.rpartition(':')[2]}", "--include-dashboard=false", f"--temp-dir={directory / 'r'}"),
        *(f"--object-store-memory={STORE_BYTES}", f"--autoscaling-config={config}"),
    ]
    environment = RAY_ENVIRONMENT | {
        "RAY_AUTH_MODE": "disabled",  # as in a cluster of ray.cluster_utils; `ray start` would make a token
        "RAY_FAKE_CLUSTER": "1",
        "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        "RAY_enable_autoscaler_v2": "1",
        "RAY_CLOUD_INSTANCE_ID": FAKE_HEAD_NODE_ID,
        "RAY_OVERRIDE_NODE_ID_FOR_TESTING": FAKE_HEAD_NODE_ID,
    }
    with (directory / "ray.log").open("wb") as log:
        started = subprocess.Popen(argv, env=os.environ | environment, stdout=log, stderr=log)
    try:
        yield address
    finally:
        ours = [psutil.Process(started.pid), *psutil.Process(started.pid).children(recursive=True)]
        started.terminate()
        _, left = psutil.wait_procs(ours, timeout=END_S)
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def _config(address: str, cpus: float, least: int, most: int, idle_s: float) -> dict[str, Any]:
    node = {"resources": {"CPU": cpus, "object_store_memory": STORE_BYTES}, "node_config": {}}
    return EMPTY | {
        "cluster_name": "chunkcrawl-test",
        "max_workers": most,
        "upscaling_speed": 1.0,
        "idle_timeout_minutes": idle_s / 60,
        "provider": {
            # By its module: of its own name Ray wants a file of defaults that its wheel lacks.
            "type": "external",
            "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
            "use_internal_ips": True,
            "launch_multiple": True,
            "gcs_address": address,
            "head_node_id": FAKE_HEAD_NODE_ID,
        },
        "head_node_type": "ray.head.default",
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            "worker": node | {"min_workers": least, "max_workers": most},
        },
    }
