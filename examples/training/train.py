"""Train agents to harvest, with RLlib's PPO on Ray; minutes on two cores.

    make train-example                          # makes the environment for it, then runs this
    python train.py --steps 500000 --out DIR

Writes ``harvester.npz`` (the policy, for ``play_live.py``) and ``training.svg`` (how it learned), and says how much
gold the policy and a random one get in worlds that neither was trained in.
"""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import pygal
import ray
from policy import OPTIONS, Policy
from pygal.style import Style
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig

import chunkcrawl_env
from world.rules import Rules

#: Worlds as they are live, begun with some chunks; eight agents play in each, all by one policy.
WORLD: Final[dict[str, Any]] = {**OPTIONS, "agents": 8, "company": 0, "chunks": 3, "max_steps": 400}
#: It learns where gold is plentiful: elsewhere one who acts at random hardly ever finds out what gold is.
SCHOOL: Final = WORLD | {"rules": Rules(gold_nodes_min=12, gold_nodes_max=16, harvest_ticks_per_unit=2)}
TESTED_SEEDS: Final = range(1_000_000, 1_000_016)


def configured(runners: int) -> PPOConfig:
    """Return PPO in ``SCHOOL``: 64 agents in each runner, stepped as one array."""
    config = PPOConfig().environment("chunkcrawl_env:Chunkcrawl/HarvestFeatures-v0", env_config=SCHOOL)
    config.env_runners(num_env_runners=runners, num_envs_per_env_runner=64, gym_env_vectorize_mode="vector_entry_point")
    config.learners(num_learners=0)
    config.training(
        train_batch_size_per_learner=16_384, minibatch_size=1_024, num_epochs=6, lr=1e-3, gamma=0.97, entropy_coeff=0.01
    )
    config.rl_module(model_config=DefaultModelConfig(fcnet_hiddens=[64, 64], vf_share_layers=False))
    return config.debugging(seed=1, log_level="ERROR")


def policy_of(module: Any) -> Policy:
    """Return the network that chooses actions, without the one that judges them."""
    state = {name: value.detach().numpy() for name, value in module.state_dict().items()}
    names = [name.removesuffix(".weight") for name in state if name.endswith(".weight")]
    layers = [name for name in names if name.startswith(("encoder.actor_encoder.", "pi."))]
    return Policy([(state[f"{name}.weight"], state[f"{name}.bias"]) for name in layers])


def gold_of(policy: Policy | None, world: dict[str, Any]) -> float:
    """Return what an agent digs in an episode, by the policy or at random, on average over the tested seeds."""
    worlds = chunkcrawl_env.Worlds(chunkcrawl_env.EnvConfig(**world, masks=True), len(TESTED_SEEDS))
    for number, seed in enumerate(TESTED_SEEDS):
        worlds.seed(number, seed)
    worlds.reset()
    dice, total = np.random.default_rng(1), 0.0
    for _ in range(worlds.config.max_steps):
        masks = worlds.masks()
        network = policy or Policy([(np.zeros((masks.shape[1], worlds.sight.shape[0])), np.zeros(masks.shape[1]))])
        total += float(worlds.step(network.act(worlds.observe(), masks, dice).tolist()).sum())
    return total / (len(TESTED_SEEDS) * worlds.config.agents)


def draw(curve: list[tuple[int, float]], random: float, path: Path) -> None:
    """Draw gold per agent and episode over steps, in the page's colours."""
    style = Style(
        background="#fdfcfa", plot_background="#fdfcfa", foreground="#1c1f27", foreground_strong="#1c1f27",
        foreground_subtle="#dcd7cc", guide_stroke_color="#dcd7cc", major_guide_stroke_color="#dcd7cc",
        colors=("#3350c4", "#d55e00"), font_family="sans-serif", label_font_size=12,
    )  # fmt: skip
    chart = pygal.XY(
        style=style, width=720, height=360, js=[], dots_size=2, legend_at_bottom=True, no_prefix=True,
        x_title="steps of agents, thousands", y_title="gold per agent", range=(0, max(gold for _, gold in curve)),
        stroke_style={"width": 2}, y_labels_major_count=3,
    )  # fmt: skip
    chart.add("while learning", [(steps / 1000, gold) for steps, gold in curve])
    chart.add("at random", [(0, random), (curve[-1][0] / 1000, random)])
    path.write_text(re.sub("<!--.*?-->", "", chart.render(is_unicode=True)))


def main() -> None:
    """Train, save, draw, and compare with a random policy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300_000, help="of agents, all together")
    parser.add_argument("--runners", type=int, default=1, help="Ray actors that play; the learner is this process")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    arguments = parser.parse_args()
    began = time.monotonic()
    ray.init(address="local", num_cpus=arguments.runners + 1, include_dashboard=False, log_to_driver=False)
    algorithm = configured(arguments.runners).build_algo()
    curve: list[tuple[int, float]] = []
    while not curve or curve[-1][0] < arguments.steps:
        result = algorithm.train()["env_runners"]
        steps, gold = int(result["num_env_steps_sampled_lifetime"]), float(result.get("episode_return_mean", np.nan))
        curve.append((steps, gold))
        if np.isfinite(gold):  # an episode has ended
            spent_s = time.monotonic() - began
            print(f"{spent_s:6.0f} s  {steps:9,} steps  {gold:6.2f} gold per agent and episode", flush=True)
    policy = policy_of(algorithm.get_module())
    algorithm.stop()
    arguments.out.mkdir(parents=True, exist_ok=True)
    policy.save(arguments.out / "harvester.npz")
    seen = [(steps, gold) for steps, gold in curve if np.isfinite(gold)]
    draw(seen, gold_of(None, SCHOOL), arguments.out / "training.svg")
    trained, random = (gold_of(one, WORLD) for one in (Policy.load(arguments.out / "harvester.npz"), None))
    print(f"in worlds as they are live: {trained:.2f} gold per agent and episode, at random {random:.2f}")


if __name__ == "__main__":
    main()
