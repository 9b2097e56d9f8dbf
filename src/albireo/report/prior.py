"""What the prior expects of every star, in the bins of its corner plot."""

from collections.abc import Iterator, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from albireo.posterior import Posterior
from albireo.priors import Prior, sightline
from albireo.samplers import Problem

NUM_BINS, NUM_DRAWS = 20, 2048
# Stars at a time, always as many: the code is compiled once.
_BATCH = 64


class PriorCounts:
    """Of every star and variable, how many of `NUM_DRAWS` draws from the prior fall into each of `NUM_BINS` bins."""

    def __init__(self, names: Sequence[str], num_stars: int) -> None:
        self._names, self._counts = names, [None] * num_stars

    def add(self, places: np.ndarray, posterior: Posterior, problem: Problem, ranges: Sequence[Any]) -> None:
        """Count for some stars.

        Args:
            places: where the posterior's stars are among all.
            posterior: their posterior, with their positions.
            problem: whose prior it was.
            ranges: of all stars, the least and the greatest value of every variable; None without draws.
        """
        constant = posterior.tree["constant_data"]
        positions = np.asarray([constant["glon"].values, constant["glat"].values], np.float32).T
        for place, draws in zip(places, _draws(problem, positions), strict=True):
            if ranges[place] is not None:
                bins = zip(self._names, ranges[place], strict=True)
                self._counts[place] = [
                    np.histogram(draws[name], NUM_BINS, tuple(between))[0].tolist() if name in draws else None
                    for name, between in bins
                ]

    def described(self) -> dict[str, Any]:
        """The counts for JSON."""
        return {"bins": NUM_BINS, "draws": NUM_DRAWS, "counts": self._counts}


def _draws(problem: Problem, positions: Float[np.ndarray, "star 2"]) -> Iterator[dict[str, np.ndarray]]:
    for start in range(0, len(positions), _BATCH):
        here = positions[start : start + _BATCH]
        padded = np.pad(here, ((0, _BATCH - len(here)), (0, 0)), mode="edge")
        theta, mu, reddening = (np.asarray(a)[: len(here)] for a in _sample(problem.prior, jnp.asarray(padded)))
        for i in range(len(here)):
            labels = dict(zip(problem.model.labels, theta[i].T, strict=True))
            yield labels | {"distance": 10 * 10 ** (mu[i] / 5), "reddening": reddening[i]}


@eqx.filter_jit
def _sample(prior: Prior, positions: Float[Array, "star 2"]):
    """Draws along some lines of sight [deg]; NaN is the average over the sky."""
    return jax.lax.map(lambda one: prior.sample(jax.random.key(0), sightline(prior, one), NUM_DRAWS), positions)
