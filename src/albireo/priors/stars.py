"""Priors on the labels, p(θ | component): how many stars of each kind there are in a unit of volume."""

import abc
from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float, PRNGKeyArray

from albireo.errors import UserError
from albireo.model import StellarModel
from albireo.model.mixture import GaussianMixture
from albireo.priors.isochrones import AGE_EDGES, FEH, LOG_TEFF, LOGG, Axis, load_populations
from albireo.priors.lines_of_sight import Sightline, log_seen
from albireo.priors.metallicity import Metallicity

# Absolute magnitudes at which the share of stars that a survey sees is tabulated [mag].
_MAGNITUDE = Axis(-10.0, 0.25, 121)
_NUM_NORM = 1 << 16
_NUM_PROPOSALS = 8
_LABELS = ("teff", "logg", "feh")  # of the isochrones


class StarsPrior(eqx.Module):
    """p(θ | component) of one or several components."""

    @abc.abstractmethod
    def log_prob(self, theta: Float[Array, " label"], metallicity: Metallicity) -> Float[Array, " component"]:
        """log p(θ | component) where the components have these metallicities, per unit of every label."""

    @abc.abstractmethod
    def sample(self, key: PRNGKeyArray, component: Array, metallicity: Metallicity) -> Float[Array, "sample label"]:
        """A draw of θ for each given component, where metallicity has one mean and width a sample."""


class TrainingStars(StarsPrior):
    """The density of the training stars, each divided by the chance to be seen: the same in every component.

    p(θ) = q(θ) / S(M(θ)) / Z, with q the model's smooth density of training stars, M the absolute magnitude in the
    reference band, and S(M) the share of all stars of that magnitude that the training surveys could see: those
    between two apparent magnitudes, for stars spread over distance and dust as this same prior has it. In a uniform
    space S would be ∝ 10^(−0.6 M); but a survey that sees giants to 10 kpc has left the disc long before. Beyond the
    faintest hundredth of the training stars S stays what it is there: the tails of q are no measurement of how many
    fainter stars there are.

    Attributes:
        model: the stellar model, for q and M.
        log_seen: log S at the absolute magnitudes of a table, joined by cubic B-splines.
        proposal: q tilted towards p, for sampling.
        log_norm: log Z.
    """

    model: StellarModel
    log_seen: Float[Array, " magnitude"]
    proposal: GaussianMixture
    log_norm: Float[Array, ""]

    @classmethod
    def build(
        cls, model: StellarModel, anywhere: Sightline, *, brightest: float, faintest: float, seed: int = 0
    ) -> "TrainingStars":
        """Normalise by importance sampling from a tilted copy of q, to about 0.3 %.

        Args:
            model: a model with the density of its training stars.
            anywhere: the prior on distance and dust, averaged over the sky.
            brightest: of the training stars, apparent magnitude in the reference band.
            faintest: the same.
            seed: of the importance sampling.

        Raises:
            UserError: the model carries no density of its training stars.
        """
        if model.density is None:
            raise UserError(
                "the model carries no density of its training stars, from which this prior takes p(θ); "
                f"take {_other_prior(model)} or another model."
            )
        # Without the spread, which it does not need: a model with one and without make the same prior.
        model = model.with_spread(None)
        return _build(model, anywhere, jnp.asarray([brightest, faintest], jnp.float32), jax.random.key(seed))

    def log_prob(self, theta: Float[Array, " label"], metallicity: Metallicity) -> Float[Array, " component"]:
        """log p(θ), per unit of every label; metallicity is not used, for the training stars have their own."""
        return jnp.broadcast_to(self.log_unnormalised(theta) - self.log_norm, metallicity.mean.shape)

    def log_unnormalised(self, theta: Float[Array, " label"]) -> Float[Array, ""]:
        """log q(θ) − log S(M(θ))."""
        return self._density.log_prob(theta) - self._log_seen(theta)

    def sample(self, key: PRNGKeyArray, component: Array, metallicity: Metallicity) -> Float[Array, "sample label"]:
        """Draws of θ, resampled from eight times as many of the proposal."""
        del metallicity
        key_propose, key_choose = jax.random.split(key)
        theta, log_weight = self._weighted(key_propose, _NUM_PROPOSALS * component.size)
        chosen = jax.random.choice(key_choose, log_weight.size, component.shape, p=jax.nn.softmax(log_weight))
        return theta[chosen]

    @property
    def _density(self) -> GaussianMixture:
        assert self.model.density is not None
        return self.model.density

    def _log_seen(self, theta):
        i, values = _spline(self.model.absolute_magnitudes(theta)[0], _MAGNITUDE)
        return jax.lax.dynamic_slice(self.log_seen, (i,), (4,)) @ values

    def _weighted(self, key: PRNGKeyArray, num: int):
        """Draws from the proposal and the logarithms of their raw weights."""
        theta = self.proposal.sample(key, num)
        log_weight = jax.lax.map(lambda t: self.log_unnormalised(t) - self.proposal.log_prob(t), theta, batch_size=4096)
        return theta, log_weight

    def _tilt(self) -> GaussianMixture:
        """The density divided by S, with log S linear within each component: again a mixture."""
        density = self._density
        log_weight, gradient = jax.vmap(jax.value_and_grad(lambda t: -self._log_seen(t)))(density.mean)
        along = jnp.einsum("kji,kj->ki", density.cholesky, gradient)
        log_weight = density.log_weight + log_weight + 0.5 * jnp.sum(along**2, axis=-1)
        mean = density.mean + jnp.einsum("kij,kj->ki", density.cholesky, along)
        return GaussianMixture(log_weight - logsumexp(log_weight), mean, density.cholesky, density.whitener)


@eqx.filter_jit
def _build(model: StellarModel, anywhere: Sightline, limits: Float[Array, " 2"], key: PRNGKeyArray) -> TrainingStars:
    extinction = model.extinction_vector(model.label_median)[0]
    assert model.density is not None
    key, key_faint = jax.random.split(key)
    theta = model.density.sample(key_faint, _NUM_NORM)
    faint = jnp.quantile(jax.lax.map(lambda t: model.absolute_magnitudes(t)[0], theta, batch_size=4096), 0.99)
    magnitudes = jnp.minimum(jnp.asarray(_MAGNITUDE.nodes, jnp.float32), faint)
    seen = jax.vmap(lambda magnitude: log_seen(anywhere, magnitude, extinction, limits[0], limits[1]))(magnitudes)
    stars = TrainingStars(model, seen, model.density, jnp.zeros(()))
    stars = eqx.tree_at(lambda s: s.proposal, stars, stars._tilt())
    _, log_weight = stars._weighted(key, _NUM_NORM)
    return eqx.tree_at(lambda s: s.log_norm, stars, logsumexp(log_weight) - np.log(_NUM_NORM))


class Population(NamedTuple):
    """The ages and abundances of a component.

    Attributes:
        age: youngest and oldest star [Gyr]; stars formed at a constant rate between.
        alpha: [α/Fe] [dex].
    """

    age: tuple[float, float]
    alpha: float


class IsochroneStars(StarsPrior):
    """p(teff, logg | feh, component) p(feh | component), the first factor from isochrones, the second a Gaussian.

    The first is a sum of products of cubic B-splines on the nodes of the table (`isochrones.py`). A B-spline is
    positive and integrates to one, and those over feh add up to one at every feh, so the sum is normalised at every
    metallicity, is twice differentiable, and is the table smoothed by 1.3 % in teff, 0.046 dex in logg and 0.058 dex
    in feh. Stars that no isochrone has are allowed for: 4.5 % of the density is smoothed four nodes wide, 0.5 %
    twelve.

    Attributes:
        weight: probability of each node given its metallicity, with one more node of metallicity beyond each end.
    """

    weight: Float[Array, "feh log_teff logg component"]

    @classmethod
    def build(cls, model: StellarModel, populations: Sequence[Population]) -> "IsochroneStars":
        """Mix the table's bins of age for each component.

        Raises:
            UserError: the labels of the model are others than teff, logg, feh.
        """
        if model.labels != _LABELS:
            raise UserError(
                f"a prior from isochrones needs a model with the labels {', '.join(_LABELS)}; "
                f"this one has {', '.join(model.labels)}: take {_other_prior(model)}."
            )
        table = load_populations()
        return cls(jnp.asarray(np.stack([_mix(table, each) for each in populations], axis=-1), jnp.float32))

    def log_prob(self, theta: Float[Array, " label"], metallicity: Metallicity) -> Float[Array, " component"]:
        """log p(θ | component), per K, dex and dex."""
        teff, logg, feh = theta
        num_components = self.weight.shape[-1]
        positive = jnp.maximum(teff, 1.0)
        i, in_feh = _spline(feh, FEH, num_before=1)
        j, in_log_teff = _spline(jnp.log10(positive), LOG_TEFF)
        k, in_logg = _spline(logg, LOGG)
        nodes = jax.lax.dynamic_slice(self.weight, (i, j, k, 0), (4, 4, 4, num_components))
        density = jnp.einsum("fc,f->c", jnp.einsum("ftgc,t,g->fc", nodes, in_log_teff, in_logg), in_feh)
        log_shape = jnp.log(density) - np.log(LOG_TEFF.step * LOGG.step * np.log(10)) - jnp.log(positive)
        z = (feh - metallicity.mean) / metallicity.std
        log_feh = -0.5 * z**2 - jnp.log(metallicity.std) - 0.5 * np.log(2 * np.pi)
        return log_shape + log_feh - _beyond(jnp.log10(positive), LOG_TEFF) - _beyond(logg, LOGG)

    def sample(self, key: PRNGKeyArray, component: Array, metallicity: Metallicity) -> Float[Array, "sample label"]:
        """A metallicity, a node by its weight there, and a place about the node by its B-spline."""
        key_feh, key_node, key_cell, *keys = jax.random.split(key, 5)
        feh = metallicity.mean + metallicity.std * jax.random.normal(key_feh, component.shape)
        i, in_feh = jax.vmap(lambda feh: _spline(feh, FEH, num_before=1))(feh)
        row = i + jax.random.categorical(key_node, jnp.log(in_feh))
        cumulative = jnp.cumsum(self.weight.reshape(self.weight.shape[0], -1, self.weight.shape[-1]), axis=1)
        u = jax.random.uniform(key_cell, component.shape)

        def find(args):
            row, c, u = args
            return jnp.searchsorted(cumulative[row, :, c], u * cumulative[row, -1, c])

        cell = jax.lax.map(find, (row, component, u), batch_size=256)
        j, k = jnp.divmod(cell, LOGG.num)
        # A cubic B-spline is the distribution of the sum of four uniform numbers.
        about = jnp.sum(jax.random.uniform(keys[0], (2, 4, *component.shape)), axis=1) - 2
        teff = 10 ** (LOG_TEFF.first + LOG_TEFF.step * (j + about[0]))
        return jnp.stack([teff, LOGG.first + LOGG.step * (k + about[1]), feh], axis=-1)


def _other_prior(model: StellarModel) -> str:
    """Which prior this model can do with."""
    if model.labels == _LABELS:
        return "a prior from isochrones, such as milky-way-isochrones,"
    return "a prior of your own" if model.density is None else "one from its training stars, such as milky-way"


# Shares of the density and widths of their smoothing, in nodes.
_SMOOTHING = ((0.95, 0.0), (0.045, 4.0), (0.005, 12.0))


def _mix(table: Float[np.ndarray, "age feh log_teff logg"], population: Population):
    """Weights of the nodes, for one component."""
    from scipy.ndimage import gaussian_filter

    low, high = population.age
    formed = np.clip(np.minimum(high, AGE_EDGES[1:]) - np.maximum(low, AGE_EDGES[:-1]), 0, None)
    number = np.tensordot(formed, table, axes=1)
    # Isochrones of solar mixture stand for the enhanced one of equal [M/H] = [Fe/H] + log10(0.638 10^[α/Fe] + 0.362)
    # (Salaris, Chieffi & Straniero 1993, ApJ 414, 580).
    node = np.arange(FEH.num) + np.log10(0.638 * 10**population.alpha + 0.362) / FEH.step
    node = np.clip(node, 0, FEH.num - 1)
    below = np.minimum(node.astype(int), FEH.num - 2)
    t = (node - below)[:, None, None]
    number = (1 - t) * number[below] + t * number[below + 1]
    smooth = [
        share * (gaussian_filter(number, (0, width, width), mode="constant", truncate=6) if width else number)
        for share, width in _SMOOTHING
    ]
    weight = sum(smooth)
    weight = weight / weight.sum(axis=(1, 2), keepdims=True) + 1e-13
    return np.pad(weight, ((1, 1), (0, 0), (0, 0)), mode="edge")


def _spline(x: Float[Array, ""], axis: Axis, num_before: int = 0) -> tuple[Array, Float[Array, " 4"]]:
    """The four cubic B-splines that are not zero at x: the index of the first and their values.

    `num_before` counts nodes of the array before the first of the axis. Without them x is held within the axis.
    """
    ahead = 1 - num_before
    x = jnp.clip((x - axis.first) / axis.step, ahead, axis.num - 1 - ahead)
    i = jnp.clip(jnp.floor(x), ahead, axis.num - 2 - ahead)
    t = x - i
    values = jnp.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]) / 6
    return i.astype(int) - ahead, values


def _beyond(x: Float[Array, ""], axis: Axis) -> Float[Array, ""]:
    """A wall beyond the axis: half the square of the distance in nodes."""
    low, high = axis.first + axis.step, axis.first + axis.step * (axis.num - 2)
    return 0.5 * ((jnp.maximum(low - x, 0) + jnp.maximum(x - high, 0)) / axis.step) ** 2
