"""Every module with something to test has a test file of its name in the same place under ``tests/``.

Those that are tested elsewhere are listed here with where, so that somebody who changes one finds its tests; a new
module gets its own test file.  What is as thin as a constant or a type needs none.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

import pytest

from tests.docs.blocks import ROOT

ROOMS: Final = (
    *(
        "api",
        "cli",
        "cluster",
        "config",
        "embedded",
        "loadtest",
        "migrations",
        "operations",
        "recordings",
        "store",
        "streaming",
    ),
    *("chunkcrawl_env", "sdk/chunkcrawl", "world"),
)

#: Modules without a test file of their own, and the one that tests them.
ELSEWHERE: Final = {
    "api/accounts/password_process.py": "tests/api/accounts/test_passwords.py",
    "api/accounts/password_worker.py": "tests/api/accounts/test_passwords.py",
    "api/piped_process.py": "tests/api/accounts/test_passwords.py",
    "api/limits/thought_rules.py": "tests/api/test_thoughts.py",
    "api/command_counts.py": "tests/cluster/test_hour.py",
    "api/past/whereabouts.py": "tests/api/past/test_agent_path.py",
    "api/operator/agent_page.py": "tests/api/operator/test_reading.py",
    "api/operator/agent_table.py": "tests/api/operator/test_reading.py",
    "api/operator/callers.py": "tests/api/operator/test_gate.py",
    "api/operator/chunk_map.py": "tests/api/operator/test_chunk_table.py",
    "api/operator/cluster_state.py": "tests/api/operator/test_reading.py",
    "api/operator/console.py": "tests/api/operator/test_reading.py",
    "api/operator/figures.py": "tests/api/operator/test_feed.py",
    "api/operator/revoking.py": "tests/api/operator/test_acting.py",
    "api/operator/rows.py": "tests/api/operator/test_reading.py",
    "api/sockets/listening.py": "tests/api/sockets/test_frame_protocol.py",
    "api/sockets/mount.py": "tests/api/sockets/test_streams.py",
    "api/sockets/server.py": "tests/api/sockets/test_new_connection.py",
    "api/sockets/socket.py": "tests/api/sockets/test_streams.py",
    "api/sockets/sse.py": "tests/api/sockets/test_streams.py",
    "api/sockets/stream_metrics.py": "tests/api/sockets/test_streams.py",
    "chunkcrawl_env/__init__.py": "tests/chunkcrawl_env/test_registration.py",
    "cluster/hosted/mount.py": "tests/cluster/hosted/test_endpoint.py",
    "cluster/hosted/hosted_agent.py": "tests/cluster/hosted/test_players.py",
    "cluster/hosted/relay.py": "tests/cluster/hosted/test_players.py",
    "cluster/hosted/server.py": "tests/cluster/hosted/test_players.py",
    "cli/operator_api.py": "tests/cli/test_steering.py",
    "cli/doctor.py": "tests/operations/doctor/test_examine.py",
    "cli/fsck.py": "tests/operations/test_fsck.py",
    "cli/last_status.py": "tests/cli/test_through_server.py",
    "cli/server_jobs.py": "tests/cli/test_through_server.py",
    "cli/unknown_variables.py": "tests/config/test_variables.py",
    "cli/up_command.py": "tests/cluster/test_up_for_real.py",
    "cluster/actor_metrics.py": "tests/cluster/test_metrics_collector.py",
    "cluster/archive_stream.py": "tests/cluster/test_archiver.py",
    "cluster/backup_age.py": "tests/operations/test_backup.py",
    "cluster/configs.py": "tests/cluster/test_world_rules.py",
    "cluster/chunk_dump.py": "tests/cluster/test_snapshots.py",
    "cluster/coordinator.py": "tests/cluster/test_deploy.py",
    "cluster/coordinator_actor.py": "tests/chaos/test_rolling.py",
    "cluster/demo_world.py": "tests/cluster/test_deploy.py",
    "cluster/drain/coordinator_mover.py": "tests/chaos/test_rolling.py",
    "cluster/drain/ray_nodes.py": "tests/chaos/test_rolling.py",
    "cluster/gateway.py": "tests/cluster/test_deploy.py",
    "cluster/gateway_actor.py": "tests/cluster/test_deploy.py",
    "cluster/local.py": "tests/cluster/test_shard_calls.py",
    "cluster/operating.py": "tests/api/operator/test_acting.py",
    "cluster/operator_jobs.py": "tests/operations/test_job.py",
    "cluster/router.py": "tests/cluster/test_deploy.py",
    "cluster/described_metrics.py": "tests/cluster/test_recorder.py",
    "cluster/shard_actor.py": "tests/cluster/test_deploy.py",
    "cluster/shard_metrics.py": "tests/deploy/test_scrape.py",
    "cluster/world_actors.py": "tests/cluster/test_deploy.py",
    "cluster/world_run.py": "tests/cluster/test_archiver.py",
    "embedded/children.py": "tests/embedded/test_services.py",
    "embedded/postgres.py": "tests/embedded/test_services.py",
    "embedded/valkey.py": "tests/embedded/test_services.py",
    "loadtest/html_parts.py": "tests/loadtest/test_report_html.py",
    "loadtest/report_html_more.py": "tests/loadtest/test_report_html.py",
    "loadtest/ray_generators.py": "tests/loadtest/test_generator.py",
    "loadtest/player.py": "tests/loadtest/test_generator.py",
    "loadtest/plots.py": "tests/loadtest/test_report_html.py",
    "loadtest/report_text.py": "tests/loadtest/test_report.py",
    "loadtest/spectator.py": "tests/loadtest/test_generator.py",
    "migrations/run.py": "tests/store/test_migrations.py",
    "migrations/versions/0001_accounts_and_logs.py": "tests/store/test_migrations.py",
    "migrations/versions/0005_standings.py": "tests/store/test_migrations.py",
    "operations/backup_files.py": "tests/operations/test_backup.py",
    "operations/carry_over.py": "tests/operations/test_restore.py",
    "operations/doctor/finding.py": "tests/operations/doctor/test_examine.py",
    "operations/fsck_dump.py": "tests/operations/test_fsck.py",
    "operations/operator_services.py": "tests/rehearsal/test_rehearsal.py",
    "operations/rebuild.py": "tests/operations/test_restore.py",
    "operations/restore_check.py": "tests/operations/test_restore.py",
    "operations/schema_swap.py": "tests/operations/test_restore.py",
    "operations/table_digests.py": "tests/operations/test_dump_content.py",
    "operations/world_dump.py": "tests/operations/test_world_bounds.py",
    "operations/world_load.py": "tests/operations/test_world_settle.py",
    "recordings/digests.py": "tests/recordings/test_verify.py",
    "recordings/lane.py": "tests/recordings/test_writer.py",
    "recordings/names.py": "tests/recordings/test_places.py",
    "recordings/segment.py": "tests/recordings/test_verify.py",
    "recordings/source.py": "tests/recordings/test_replay.py",
    "recordings/told_world.py": "tests/recordings/test_replay.py",
    "sdk/chunkcrawl/__init__.py": "tests/sdk/test_agent.py",
    "sdk/chunkcrawl/bots/demo.py": "tests/cluster/test_up_for_real.py",
    "sdk/chunkcrawl/bots/driver.py": "tests/sdk/test_live_agent.py",
    "sdk/chunkcrawl/commands/account.py": "tests/sdk/commands/test_app.py",
    "sdk/chunkcrawl/commands/agents.py": "tests/sdk/commands/test_app.py",
    "sdk/chunkcrawl/commands/common.py": "tests/sdk/commands/test_app.py",
    "sdk/chunkcrawl/commands/mcp.py": "tests/sdk/mcp/test_server.py",
    "sdk/chunkcrawl/commands/playing.py": "tests/sdk/commands/test_screens.py",
    "sdk/chunkcrawl/commands/scenario.py": "tests/sdk/scenarios/test_script.py",
    "sdk/chunkcrawl/embedded.py": "tests/docs/test_tutorial.py",
    "sdk/chunkcrawl/mcp/answer.py": "tests/sdk/mcp/test_toolbox.py",
    "sdk/chunkcrawl/mcp/happenings.py": "tests/sdk/mcp/test_server.py",
    "sdk/chunkcrawl/mcp/skill.py": "tests/sdk/mcp/test_server.py",
    "sdk/chunkcrawl/mcp/tools.py": "tests/sdk/mcp/test_server.py",
    "sdk/chunkcrawl/scenarios/run.py": "tests/sdk/scenarios/test_script.py",
    "sdk/chunkcrawl/transport/writings.py": "tests/sdk/mcp/test_toolbox.py",
    "sdk/chunkcrawl/transport/connection.py": "tests/sdk/test_agent.py",
    "sdk/chunkcrawl/transport/conversation.py": "tests/sdk/test_agent.py",
    "store/event_log_days.py": "tests/store/test_event_log.py",
    "store/runs.py": "tests/store/test_snapshots.py",
    "world/command.py": "tests/world/test_running.py",
    "world/commands/__init__.py": "tests/world/commands/test_commands.py",
    "world/regrowth.py": "tests/world/commands/test_harvest.py",
}
#: A room of which no module may be in the list: it decides what is lost when something dies.
WITHOUT_EXCEPTIONS: Final = ("streaming",)


def has_logic(path: Path) -> bool:
    """Whether there is a function that decides something: a branch, a loop, a wait or an error."""
    deciding = (ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.Raise, ast.Try, ast.Await, ast.comprehension)
    functions = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return any(isinstance(node, deciding) for function in functions for node in ast.walk(function))


def mirror(module: str) -> Path:
    """Where a module's own tests are."""
    path = Path(module.replace("sdk/chunkcrawl/", "sdk/"))
    return ROOT / "tests" / path.parent / f"test_{path.name}"


MODULES: Final = {
    room: [str(path.relative_to(ROOT)) for path in sorted((ROOT / room).rglob("*.py")) if has_logic(path)]
    for room in ROOMS
}


@pytest.mark.parametrize("room", ROOMS)
def test_a_module_has_tests_of_its_name_or_is_listed(room: str) -> None:
    without = [module for module in MODULES[room] if not mirror(module).exists() and module not in ELSEWHERE]
    assert not without, f"no tests of their own: {', '.join(without)}"


def test_the_list_is_as_short_as_it_can_be() -> None:
    modules = [module for modules in MODULES.values() for module in modules]
    assert not [module for module in ELSEWHERE if module not in modules or mirror(module).exists()]
    assert not [file for file in ELSEWHERE.values() if not (ROOT / file).exists()]
    assert not [module for module in ELSEWHERE if module.startswith(WITHOUT_EXCEPTIONS)]


def test_most_modules_have_tests_of_their_own() -> None:
    """So that the list does not become the rule."""
    own = {room: sum(mirror(module).exists() for module in modules) for room, modules in MODULES.items()}
    assert own["streaming"] == len(MODULES["streaming"]) > 15
    assert sum(own.values()) >= 0.7 * sum(len(modules) for modules in MODULES.values())
