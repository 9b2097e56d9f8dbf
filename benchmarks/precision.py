"""What single precision does to posteriors of real stars.

    python -m benchmarks.precision [--stars 500] [--draws 100]

At draws from posteriors sampled in single precision, the samplers' target is computed in both precisions. Their
difference, but for its mean over a star's draws, which no posterior depends on, is the error. Weighting the draws by
its exponential makes them draws of the target in double precision: by how much means move says what it does.
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np

from albireo import Catalog, Importance, infer, load_model, load_prior
from albireo.inference import in_double
from albireo.likelihood import Star
from albireo.samplers import Problem
from benchmarks.real_stars import read_stars


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stars", type=int, default=500)
    parser.add_argument("--draws", type=int, default=100, help="of each star, taken from all")
    arguments = parser.parse_args()
    model = load_model("default").with_spread(None)
    problem = Problem(model, load_prior("milky-way", model))
    catalog = read_stars(model, arguments.stars)
    print("error of the log posterior within a star [nat], and shift of means [posterior standard deviations]")
    for name, some in (("with", catalog), ("without", catalog.without("parallax"))):
        _compare(problem, some, arguments.draws, f"{name} parallax")


def _compare(problem: Problem, stars: Catalog, num_draws: int, name: str) -> None:
    posterior = infer(stars, model=problem.model, prior=problem.prior, sampler=Importance()).tree["posterior"]
    theta = np.stack([posterior[label].values[0] for label in problem.model.labels], axis=-1)  # draw, star, label
    theta = np.moveaxis(theta[:: len(theta) // num_draws], 0, 1)
    single = _targets(problem, stars, theta, np.float32)
    with jax.enable_x64(True):
        double = _targets(in_double(problem), stars, theta, np.float64)
    error = single - double
    error -= error.mean(axis=1, keepdims=True)
    weight = np.exp(-error) / np.exp(-error).sum(axis=1, keepdims=True)
    moved = np.einsum("sd,sdl->sl", weight, theta) - theta.mean(axis=1)
    shift = np.max(np.abs(moved) / theta.std(axis=1), axis=1)
    worst = np.max(np.abs(error), axis=1)
    print(f"{name}: {len(worst)} stars")
    for what, values in (("largest error", worst), ("shift", shift)):
        median, high = np.percentile(values, (50, 99))
        print(f"  {what:14} median {median:.1e}  99 % {high:.1e}  largest {values.max():.1e}")


def _targets(problem: Problem, stars: Catalog, theta, dtype):
    def one(args):
        star, theta = args
        sky = problem.sightline(star)
        return jax.vmap(lambda x: problem.log_target(star, sky, x))(problem.standardise(theta))

    catalog = stars.select_bands(problem.model.bands)
    star = jax.tree.map(jnp.asarray, Star.from_catalog(catalog, dtype, scatter=problem.model.scatter))
    return np.asarray(jax.jit(lambda *args: jax.lax.map(one, args))(star, jnp.asarray(theta, dtype)), float)


if __name__ == "__main__":
    main()
