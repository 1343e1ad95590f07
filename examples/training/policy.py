"""A trained policy as it is kept: the weights of a small network, by numpy alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

#: What it was trained with: what it sees and does.  Worlds may have other agents, chunks and rules.
OPTIONS: Final[dict[str, Any]] = {"observation": "features", "actions": "steps"}


class Policy:
    """A network of layers, tanh between them; its last layer has a number for each action, the best the greatest."""

    def __init__(self, layers: list[tuple[NDArray[Any], NDArray[Any]]]) -> None:
        self.layers = layers

    @classmethod
    def load(cls, path: Path) -> Policy:
        """Read what ``save`` wrote."""
        with np.load(path) as file:
            return cls([(file[f"w{k}"], file[f"b{k}"]) for k in range(len(file.files) // 2)])

    def save(self, path: Path) -> None:
        """Write it to a file of some kB."""
        arrays = {f"w{k}": weights for k, (weights, _) in enumerate(self.layers)}
        np.savez_compressed(path, **arrays, **{f"b{k}": bias for k, (_, bias) in enumerate(self.layers)})

    def values(self, observations: NDArray[Any]) -> NDArray[Any]:
        """Return a number for each action; shape (agents, actions), or (actions,) for one observation."""
        seen = observations
        for k, (weights, bias) in enumerate(self.layers):
            seen = seen @ weights.T + bias
            if k < len(self.layers) - 1:
                seen = np.tanh(seen)
        return seen

    def act(self, observations: NDArray[Any], masks: NDArray[Any], dice: np.random.Generator) -> NDArray[Any]:
        """Return actions as likely as the network says, of those that can be done."""
        values = np.where(masks, self.values(observations), -np.inf)
        # The greatest of numbers with Gumbel noise is drawn by their softmax.
        chosen: NDArray[Any] = np.argmax(values + dice.gumbel(size=values.shape), axis=-1)
        return chosen
