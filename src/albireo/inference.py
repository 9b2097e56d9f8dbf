"""infer(): a catalogue, a model, a prior and a sampler become posteriors."""

import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt32

from albireo.cache import keep_compiled_code, remember_last
from albireo.catalog import Catalog
from albireo.certificate import is_poor_fit
from albireo.device import arithmetic, batch_sizes, batches_in_flight, over_stars, padded_size, stars_in_a_batch
from albireo.errors import UserError
from albireo.likelihood import Star, scores
from albireo.model import StellarModel, load_model
from albireo.outliers import Hypotheses, check_fraction, choose, hypotheses
from albireo.posterior import Posterior
from albireo.priors import Prior, load_prior
from albireo.samplers import SAMPLERS, Batch, Draws, FirstLook, Importance, Problem, Sampler
from albireo.samplers.convergence import MEASURES
from albireo.samplers.escalate import replace_stars, trusted

# Stars whose outliers are looked for at a time.
_NUM_SUSPECTED = 16


def infer(
    catalog: Catalog,
    *,
    model: StellarModel | str | Path = "default",
    prior: Prior | str | Path = "milky-way",
    sampler: Sampler | str = "nuts",
    spread: bool = False,
    outliers: float = 0.0,
    double: bool = False,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Posterior:
    """Sample the posterior of every star's labels, distance modulus and reddening.

    Args:
        catalog: the stars; bands that the model does not have are ignored.
        model: a stellar model, a bundled model's name, or the path of a saved one.
        prior: an object with the methods of `albireo.priors.Prior`, a prior's name, or the path of a TOML file.
        sampler: a configured sampler such as `NUTS(num_samples=1000)`, or "nuts", "nested" or "importance".
        spread: allow for the error of the model's own network, judged by the members of its spread, which widens the
            posteriors of stars unlike most training stars and takes longer.
        outliers: the share of magnitudes that are wrong: with it, any one magnitude of a star may be an outlier, and
            `outlier_probability` says which. It takes about four times as long.
        double: sample in double precision. Single precision moves means by less than a thousandth of their standard
            deviations (`benchmarks.precision`).
        seed: of all random numbers; a star's own seed comes from this and its row, whatever stars are beside it.
        progress: called with the number of stars just done.

    Returns:
        The posteriors of all stars; a star that cannot be sampled is flagged and its results are NaN.

    Raises:
        UserError: the stars are no Catalog, there is no such model, prior or sampler, the model has no spread to allow
            for, there is no star, or none has a band of the model; or the seed or the share of outliers is out of
            range.
    """
    keep_compiled_code()
    if not isinstance(catalog, Catalog):
        raise UserError(
            "infer needs a Catalog, from Catalog.read(path) or Catalog.from_table(table); "
            f"got a {type(catalog).__name__}."
        )
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
        raise UserError(f"seed must be an integer from 0 to 2**32 - 1; got {seed!r}.")
    model = model if isinstance(model, StellarModel) else load_model(model)
    if spread and model.spread is None:
        raise UserError("this model has no spread; train it with `members`, or infer without.")
    model = model if spread else model.with_spread(None)
    check_fraction(outliers)
    prior = load_prior(prior, model)
    sampler = _sampler(sampler)
    if not set(catalog.bands) & set(model.bands):
        have, needs = ", ".join(catalog.bands), ", ".join(model.bands)
        raise UserError(f"the catalogue has none of the model's bands: it has {have}; the model has {needs}.")
    if not len(catalog):
        raise UserError("the catalogue has no stars.")
    catalog = catalog.select_bands(model.bands)
    if getattr(prior, "depends_on_position", False) and np.any(np.isnan(catalog.glon)):
        warnings.warn("stars without a sky position get the prior's average over the sky.", stacklevel=2)
    problem = Problem(model, prior)
    with arithmetic(double):
        in_precision = in_double(problem) if double else problem
        batch = _sample_all(in_precision, sampler, catalog, outliers, seed, progress or _silent)
    # Draws are kept, and what is derived of them made, in single precision: 1e-7 of a magnitude.
    batch = jax.tree.map(lambda a: a.astype(np.float32) if a.dtype == np.float64 else a, batch)
    metadata = {"sampler": repr(sampler), "seed": seed, "outliers": outliers, "double": str(double)}
    return Posterior.from_batch(batch, catalog, problem, metadata)


def in_double(tree: Any) -> Any:
    """A problem, a model, a prior or stars in double precision, within `jax.enable_x64`."""
    return jax.tree.map(lambda a: jnp.asarray(a, jnp.float64) if eqx.is_inexact_array(a) else a, tree)


def _dtype(problem: Problem) -> np.dtype:
    return np.dtype(problem.model.label_median.dtype)


def _silent(done: int) -> None:
    """Report nothing."""


def _sampler(sampler: Sampler | str) -> Sampler:
    if not isinstance(sampler, str):
        if isinstance(sampler, type) or not hasattr(sampler, "run"):
            raise UserError(f"a sampler must be one of {', '.join(SAMPLERS)} or a configured one; got {sampler!r}.")
        return sampler
    if sampler not in SAMPLERS:
        raise UserError(f"there is no sampler {sampler!r}; choose one of {', '.join(SAMPLERS)}.")
    return SAMPLERS[sampler]()


def _sample_all(
    problem: Problem,
    sampler: Sampler,
    catalog: Catalog,
    outliers: float,
    seed: int,
    progress: Callable[[int], None],
) -> Batch:
    """Sample all stars that have two magnitudes, batch by batch; the others get NaN."""
    key = jax.random.key(seed)
    look = _build_look(problem, seed)
    # Stars and keys stay NumPy's until a batch of fixed size is made of them: JAX compiles a choice of rows anew for
    # every number of rows, which takes a tenth of the time that the stars of a chunk are sampled in.
    stars = _suspect(problem, look, catalog, outliers) if outliers else _stars(problem, catalog)
    # One magnitude has no colour: it says nothing of reddening, and the sum over distance moduli would be too coarse.
    usable = np.flatnonzero(catalog.n_bands > 1)

    progress(len(catalog) - len(usable))

    def sample(sampler: Sampler, index: Int[np.ndarray, " star"], stage: int, progress=_silent) -> Batch:
        their_keys = np.asarray(_keys(key, catalog.row.astype(np.uint32), stage))[index]
        # Upper limits take a program of their own, which stars without any need not wait for.
        limited = catalog.has_limit[index]
        batches = []
        for part in (np.flatnonzero(~limited), np.flatnonzero(limited)):
            if len(part):
                some = _some(stars, index[part])
                some = some if limited[part[0]] else some.without_limits()
                batches.append(_sample(problem, look, sampler, some, their_keys[part], progress))
        if len(batches) == 1:
            return batches[0]
        back = np.argsort(np.argsort(limited, kind="stable"), kind="stable")
        return jax.tree.map(lambda *parts: np.concatenate(parts)[back], *batches)

    if len(usable):
        batch = sample(sampler, usable, 0, progress)
    else:  # one star is run all the same, to know what a batch looks like
        batch = jax.tree.map(lambda a: a[:0], sample(sampler, np.zeros(1, int), 0))
    for stage, fallback in enumerate(_fallbacks(sampler), start=1):
        again = np.flatnonzero(~trusted(batch))
        weighted = isinstance(fallback, Importance)
        if stage > 1 and not weighted and len(again):  # what costs a thousand times as much as an ordinary star
            rows = usable[again]
            again = again[_explained(problem, stars, rows, _some(batch.draws, again), catalog.n_bands[rows])]
        if not len(again):
            continue
        other = sample(fallback, usable[again], stage)
        better = trusted(other) | (stage == 1)
        if weighted:  # weights of which more is found are nearer to the posterior, even where they cannot be trusted
            found = np.asarray(batch.star_stats.get("log_evidence", np.full(len(usable), np.inf)))[again]
            better |= np.asarray(other.star_stats["log_evidence"]) > np.nan_to_num(found, nan=-np.inf, posinf=np.inf)
        again, other = again[better], _some(other, better)
        batch = replace_stars(batch, again, other, catalog.row[usable[again]]) if len(again) else batch
    # The same columns for all stars, whichever samplers they came to need.
    for name in MEASURES if _fallbacks(sampler) else ():
        batch.star_stats.setdefault(name, np.full(len(usable), np.nan))
    return jax.tree.map(lambda a: _scatter(a, usable, len(catalog)), batch)


@partial(jax.jit, static_argnames="stage")
def _keys(key: PRNGKeyArray, row: Int[Array, " star"], stage: int) -> UInt32[Array, "star 2"]:
    """Every star's key, as numbers; other random numbers for each sampler that a star goes on to."""
    keys = jax.vmap(lambda row: jax.random.fold_in(key, row))(row)
    if stage:
        keys = jax.vmap(lambda key: jax.random.fold_in(key, stage))(keys)
    return jax.random.key_data(keys)


def _some(batch, index: Int[np.ndarray, " some"]):
    """Some of the stars, of a batch of them, or of its draws."""
    return jax.tree.map(lambda a: np.asarray(a)[index], batch)


def _explained(
    problem: Problem,
    stars: Star | Hypotheses,
    rows: Int[np.ndarray, " some"],
    draws: Draws,
    n_bands: Int[np.ndarray, " some"],
) -> Bool[np.ndarray, " some"]:
    """Whether some draw explains the magnitudes of these stars: if none does, the best sampler's means nothing."""
    padded = np.resize(np.arange(len(rows)), padded_size(len(rows), len(jax.tree.leaves(stars)[0])))
    chi2 = np.asarray(_least_chi2(problem, _some(stars, rows[padded]), _some(draws, padded)))[: len(rows)]
    return np.isfinite(chi2) & ~is_poor_fit(chi2, n_bands, len(problem.model.labels) + 2)


@eqx.filter_jit
def _least_chi2(problem: Problem, stars: Star | Hypotheses, draws: Draws) -> Float[Array, " star"]:
    """The least χ² of a star's magnitudes among its draws, under its most favourable hypothesis."""

    def one(args):
        star, draws = args

        def least(star):
            over_draws = jax.vmap(jax.vmap(lambda *draw: jnp.sum(scores(problem.model, star, *draw)[0] ** 2)))
            return jnp.nanmin(over_draws(*draws))

        return least(star) if isinstance(star, Star) else jnp.min(jax.lax.map(least, star.stars))

    return over_stars(one, (stars, jax.tree.map(jnp.asarray, draws)))


def _fallbacks(sampler: Sampler) -> tuple[Sampler, ...]:
    fallbacks = getattr(sampler, "fallbacks", None)
    return () if fallbacks is None else fallbacks()


def _sample(
    problem: Problem,
    look: FirstLook,
    sampler: Sampler,
    stars: Star | Hypotheses,
    keys: UInt32[np.ndarray, "star 2"],
    progress: Callable[[int], None],
) -> Batch:
    """Sample stars, batch by batch."""
    num = len(keys)
    sizes = np.array(batch_sizes(num, sampler.batch_size or stars_in_a_batch()))

    def run(start: int, size: int) -> Batch:
        index = np.arange(start, min(start + size, num))
        padded = np.resize(index, size)
        with arithmetic(_dtype(problem) == np.float64):
            some = jax.tree.map(jnp.asarray, _some(stars, padded))
            batch = sampler.run(problem, look, some, jax.random.wrap_key_data(jnp.asarray(keys[padded])))
        batch = jax.tree.map(lambda a: np.asarray(a)[: len(index)], batch)
        progress(len(index))
        return batch

    with ThreadPoolExecutor(batches_in_flight()) as pool:
        batches = list(pool.map(run, np.cumsum(sizes) - sizes, sizes))
    batch = jax.tree.map(lambda *parts: np.concatenate(parts), *batches)
    batch.star_stats["engine"] = np.full(num, getattr(sampler, "engine", type(sampler).__name__), object)
    return batch


def _stars(problem: Problem, catalog: Catalog) -> Star:
    return Star.from_catalog(catalog, _dtype(problem), scatter=problem.model.scatter)


def _suspect(problem: Problem, look: FirstLook, catalog: Catalog, outliers: float) -> Hypotheses:
    """Every star under the likeliest hypotheses about its magnitudes, by the first look; some stars at a time."""
    chosen = []
    for index in _split(np.arange(len(catalog)), _NUM_SUSPECTED):
        every = hypotheses(catalog[index], problem.model.scatter, outliers, _dtype(problem))
        padded = jax.tree.map(lambda a: jnp.asarray(np.resize(a, (_NUM_SUSPECTED, *a.shape[1:]))), every)
        score = np.asarray(_score_hypotheses(problem, look, padded))[: len(index)]
        chosen.append(choose(every, score))
    return jax.tree.map(lambda *parts: np.concatenate(parts), *chosen)


@eqx.filter_jit
def _score_hypotheses(problem: Problem, look: FirstLook, every: Hypotheses) -> Float[Array, "star hypothesis"]:
    return over_stars(lambda star: look.best_scores(problem, star, problem.sightline(star)), every)


@remember_last
def _build_look(problem: Problem, seed: int) -> FirstLook:
    return _compiled_look(problem, jax.random.fold_in(jax.random.key(seed), np.uint32(2**32 - 1)))


@eqx.filter_jit
def _compiled_look(problem: Problem, key: PRNGKeyArray) -> FirstLook:
    return FirstLook.build(problem, key)


def _split(index: Int[np.ndarray, " star"], size: int) -> Iterator[Int[np.ndarray, " batch"]]:
    return (index[start : start + size] for start in range(0, len(index), size))


def _scatter(values: np.ndarray, index: Int[np.ndarray, " usable"], num: int) -> np.ndarray:
    """Values of the usable stars at their places among all; the rest NaN, False, 0 or empty."""
    fill = {"f": np.nan, "O": ""}.get(values.dtype.kind, 0)
    whole = np.full((num, *values.shape[1:]), fill, values.dtype)
    whole[index] = values
    return whole
