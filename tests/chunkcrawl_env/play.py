"""A seeded play of every kind of environment; as a script it prints digests of all that came of it.

    python tests/chunkcrawl_env/play.py SEED

Needs neither gymnasium nor anything of the tests, so that it also runs with the wheel alone.
"""

from __future__ import annotations

import json
import sys
from hashlib import blake2b
from typing import Any, Final

from chunkcrawl_env import EnvConfig, Worlds
from world.dice import Dice
from world.rules import Rules

#: Gold everywhere that is dug up and grows back soon; chunks that go soon.
QUICK: Final = Rules(
    harvest_ticks_per_unit=1,
    regen_ticks=20,
    gold_nodes_min=6,
    gold_nodes_max=9,
    gold_per_node_min=1,
    gold_per_node_max=3,
    collect_idle_ticks=15,
)
CONFIGS: Final = {
    "window": EnvConfig(agents=12, chunks=3, company=6, masks=True, rules=QUICK, sayings=("hello",)),
    "features": EnvConfig(agents=6, chunks=2, observation="features", rules=QUICK, ticks_per_step=2),
    "chunk": EnvConfig(agents=4, company=8, chunks=2, chunks_max=3, observation="chunk", actions="cells", rules=QUICK),
}


def play(config: EnvConfig, seed: int, steps: int, worlds: Worlds | None = None) -> dict[str, str]:
    """Digests of observations, masks, rewards and the state of two worlds in which actions are drawn."""
    worlds = worlds or Worlds(config, 2)
    for number in range(worlds.count):
        worlds.seed(number, seed + number)
    worlds.reset()
    dice = Dice("actions", seed)
    seen = {name: blake2b(digest_size=16) for name in ("observations", "masks", "rewards")}
    for _ in range(steps):
        masks = worlds.masks()
        # What can be done, mostly: else hardly anybody would get anywhere.
        rewards = worlds.step([_draw(dice, mask) for mask in masks.tolist()])
        seen["observations"].update(worlds.observe().tobytes())
        seen["masks"].update(masks.tobytes())
        seen["rewards"].update(rewards.tobytes())
    found = {name: digest.hexdigest() for name, digest in seen.items()}
    return found | {f"state-{number}": worlds.state_digest(number) for number in range(worlds.count)}


def _draw(dice: Dice, mask: list[int]) -> int:
    allowed = [action for action, one in enumerate(mask) if one]
    return dice.pick(allowed) if dice.below(10) else dice.below(len(mask))


def digests(seed: int, steps: int = 60) -> dict[str, Any]:
    """Those of all configurations."""
    return {name: play(config, seed, steps) for name, config in CONFIGS.items()}


if __name__ == "__main__":
    print(json.dumps(digests(int(sys.argv[1]))))
