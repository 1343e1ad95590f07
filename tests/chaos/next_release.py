"""The release after this one, made of a copy of this tree, with one of everything that may change between two releases.

A method and a field more, messages of another version, another format in Redis, a migration.  As long as there is no
release before this one, this tree is the older of the two.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from cluster.release import DISTRIBUTION
from tests.chaos.patched_tree import Patch, patched_tree

RELEASE = "0.999"
FORMAT = 2
REVISION = "0999"

MIGRATION = f'''"""A column more, which nothing needs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "{REVISION}"
down_revision = "{{before}}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("accounts", sa.Column("nickname", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("accounts", "nickname")
'''
#: A caller of a shard begins with a call that shards of this release lack.
GREETING = """
    try:
        said = await actors.call(shard_name(shard), timeout_s, IntroducedShard.greet, "hello")
        structlog.get_logger(__name__).info("shard_greeted", shard=shard, said=said)
    except ForeignVersion as error:
        structlog.get_logger(__name__).info("shard_not_greeted", shard=shard, error=str(error))
    return await actors.call(shard_name(shard), timeout_s, IntroducedShard.address, node)
"""
PATCHES = [
    Patch("cluster/messages.py", "VERSION: Final = 2\n\n#: The version of the release", "VERSION: Final = 3\n\n#: The"),
    Patch("cluster/messages.py", "    issued_ms: int = 0\n", '    issued_ms: int = 0\n    mood: str = "curious"\n'),
    Patch(
        "cluster/messages.py",
        "    moved: bool = False\n",
        '    moved: bool = False\n    mood: str = "decided by the newer one"\n',
    ),
    Patch("cluster/stored_format.py", "FORMAT: Final = 1\n", f"FORMAT: Final = {FORMAT}\n"),
    Patch(
        "cluster/shard_actor.py",
        "    async def address(self, node: str) -> bytes:\n",
        "    async def greet(self, word: str) -> str:\n"
        '        return f"{word} from shard {self._shard}"\n\n'
        "    async def address(self, node: str) -> bytes:\n",
    ),
    Patch(
        "cluster/shard_socket.py",
        "    async def address(self, node: str) -> bytes:\n",
        "    async def greet(self, word: str) -> str: ...\n\n    async def address(self, node: str) -> bytes:\n",
    ),
    Patch(
        "cluster/ray_clients.py",
        "\n    return await actors.call(shard_name(shard), timeout_s, IntroducedShard.address, node)\n",
        GREETING,
    ),
    Patch(
        "cluster/ray_clients.py",
        "import ray\n",
        "import ray\nimport structlog\nfrom cluster.messages import ForeignVersion\n",
    ),
]


def next_release(directory: Path) -> Path:
    """Make the tree of the release after this one in ``directory``, which must not exist."""
    tree = patched_tree(directory, PATCHES)
    versions = tree / "migrations" / "versions"
    before = max(path.name for path in versions.glob("0*.py"))[:4]
    (versions / f"{REVISION}_nickname.py").write_text(MIGRATION.format(before=before))
    about = tree / f"chunkcrawl_server-{RELEASE}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {DISTRIBUTION}\nVersion: {RELEASE}\n")
    (about / "entry_points.txt").write_text(metadata.distribution(DISTRIBUTION).read_text("entry_points.txt") or "")
    return tree
