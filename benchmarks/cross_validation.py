"""Every real star judged by a model that never saw it, beside the published network, which never saw any of them.

    python -m benchmarks.cross_validation [--folds 10] [--seed 1]

The stars of `green2020_stars.fits` are divided at random into folds. For each of them the default configuration learns
from the others (training and validation stars seven to two, as when a tenth is set aside) and is judged by the fold,
with the functions of `albireo evaluate --floor-in-errors 0.02`. Networks of a spread are left out to save time: the
figures with scatter then lack the spread, the others do not depend on it. Errors are bootstrapped over stars (for a
fraction that is the binomial error); those of differences keep what the models have in common. One star with a false
magnitude takes 1.5 off the mean log-likelihood of all 8,000, hence the median beside it.
"""

import argparse
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from astropy.table import Table
from jaxtyping import Float

from albireo.evaluation.report import judge
from albireo.model import load_green2020
from albireo.training import Evaluation, TrainingConfig, TrainingSet, train
from albireo.training.evaluate import OUTLIER

DATA = Path(os.environ.get("ALBIREO_DATA", Path(__file__).parents[2] / "shared" / "data"))
ERROR_FLOOR = 0.02  # mag, which the errors of that file hold
FIGURES = ("chi2/dof below 5", "% above 5", "mean log-likelihood", "median log-likelihood")
NUM_RESAMPLES = 1000


def configuration() -> TrainingConfig:
    """The default one for stars of which the fold is gone already."""
    default = TrainingConfig.preset("default")
    train_share, validation_share, test_share = default.split
    kept = 1 - test_share
    split = (train_share / kept, validation_share / kept, 0.0)
    return dataclasses.replace(default, split=split, members=0, floor_in_errors=ERROR_FLOOR)


def judge_fold(stars: TrainingSet, fold: np.ndarray, published) -> dict[str, Evaluation]:
    """The figures of a model that learned from all other stars, and of the published network."""
    others = np.setdiff1d(np.arange(len(stars)), fold)
    model = train(stars[others], configuration()).model
    return judge({"albireo": model, "published": published}, stars, fold, ERROR_FLOOR).evaluations


def figures(ratio: Float[np.ndarray, " star"], log_likelihood: Float[np.ndarray, " star"]) -> np.ndarray:
    """Those of FIGURES."""
    below = ratio < OUTLIER
    return np.array([ratio[below].mean(), 100 * np.mean(~below), log_likelihood.mean(), np.median(log_likelihood)])


def joined(folds: Sequence[Evaluation]) -> Float[np.ndarray, "2 star"]:
    """χ²/dof and log-likelihood of all stars."""
    names = ("star_chi2_per_dof", "star_log_likelihood")
    return np.array([np.concatenate([getattr(fold, name) for fold in folds]) for name in names])


def main() -> None:
    """Print the figures of every fold, then those of all stars with their errors."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    published = load_green2020(DATA / "green2020_published")
    table = Table.read(DATA / "green2020_stars.fits")
    stars, rng = TrainingSet.from_table(table, bands=published.bands), np.random.default_rng(options.seed)
    found = []
    for fold in np.array_split(rng.permutation(len(stars)), options.folds):
        found.append(judge_fold(stars, fold, published))
        each = {name: figures(*joined([one])) for name, one in found[-1].items()}
        print(f"fold {len(found)}:", "; ".join(f"{name} {_line(values)}" for name, values in each.items()), flush=True)

    stars_of = {name: joined([one[name] for one in found]) for name in found[0]}
    resamples = rng.integers(len(stars), size=(NUM_RESAMPLES, len(stars)))
    drawn = {name: np.array([figures(*both[:, r]) for r in resamples]) for name, both in stars_of.items()}
    print(f"\nall {len(stars)} stars: {', '.join(FIGURES)}")
    for name, both in stars_of.items():
        print(f"{name:24}{_line(figures(*both), drawn[name].std(axis=0))}")
    difference = figures(*stars_of["albireo"]) - figures(*stars_of["published"])
    print(f"{'albireo less published':24}{_line(difference, (drawn['albireo'] - drawn['published']).std(axis=0))}")


def _line(values, errors=None):
    cells = [f"{value:.3f}" for value in values]
    return ", ".join(cells if errors is None else [f"{c} ± {e:.3f}" for c, e in zip(cells, errors, strict=True)])


if __name__ == "__main__":
    main()
