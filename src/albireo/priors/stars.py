"""Priors on the labels, p(θ | component): how many stars of each kind there are in a unit of volume."""

import abc
from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from albireo.errors import UserError
from albireo.model import StellarModel
from albireo.priors.initial_mass import relative_number
from albireo.priors.isochrones import AGE_EDGES, FEH, LOG_TEFF, LOGG, Axis, load_populations
from albireo.priors.metallicity import Metallicity

LABELS = ("teff", "logg", "feh")  # of the isochrones


class StarsPrior(eqx.Module):
    """p(θ | component) of one or several components."""

    @abc.abstractmethod
    def log_prob(self, theta: Float[Array, " label"], metallicity: Metallicity) -> Float[Array, " component"]:
        """log p(θ | component) where the components have these metallicities, per unit of every label."""

    @abc.abstractmethod
    def sample(self, key: PRNGKeyArray, component: Array, metallicity: Metallicity) -> Float[Array, "sample label"]:
        """A draw of θ for each given component, where metallicity has one mean and width a sample."""


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
    def build(
        cls, model: StellarModel, populations: Sequence[Population], initial_mass: str = "kroupa"
    ) -> "IsochroneStars":
        """Mix the table's bins of age for each component.

        Args:
            model: a model with the labels of the isochrones.
            populations: ages and abundances of every component.
            initial_mass: which of `INITIAL_MASS` tells how many stars are born of each mass.

        Raises:
            UserError: the labels of the model are others than teff, logg, feh.
        """
        if model.labels != LABELS:
            raise UserError(
                f"a prior from isochrones needs a model with the labels {', '.join(LABELS)}; "
                f"this one has {', '.join(model.labels)}: take {other_prior(model)}."
            )
        number, mass = load_populations()
        table = number * relative_number(mass, initial_mass)
        return cls(jnp.asarray(np.stack([_mix(table, each) for each in populations], axis=-1), jnp.float32))

    def log_prob(self, theta: Float[Array, " label"], metallicity: Metallicity) -> Float[Array, " component"]:
        """log p(θ | component), per K, dex and dex."""
        teff, logg, feh = theta
        num_components = self.weight.shape[-1]
        positive = jnp.maximum(teff, 1.0)
        i, in_feh = spline(feh, FEH, num_before=1)
        j, in_log_teff = spline(jnp.log10(positive), LOG_TEFF)
        k, in_logg = spline(logg, LOGG)
        nodes = jax.lax.dynamic_slice(self.weight, (i, j, k, 0), (4, 4, 4, num_components))
        density = jnp.einsum("fc,f->c", jnp.einsum("ftgc,t,g->fc", nodes, in_log_teff, in_logg), in_feh)
        log_shape = jnp.log(density) - np.log(LOG_TEFF.step * LOGG.step * np.log(10)) - jnp.log(positive)
        z = (feh - metallicity.mean) / metallicity.std
        log_feh = -0.5 * z**2 - jnp.log(metallicity.std) - 0.5 * np.log(2 * np.pi)
        return log_shape + log_feh - _beyond(jnp.log10(positive), LOG_TEFF) - _beyond(logg, LOGG)

    def mean_feh(
        self, theta: Float[Array, " label"], log_share: Float[Array, " component"], metallicity: Metallicity
    ) -> Float[Array, ""]:
        """Mean [Fe/H] of stars of this teff and logg, of all components in these shares."""
        j, in_log_teff = spline(jnp.log10(jnp.maximum(theta[0], 1.0)), LOG_TEFF)
        k, in_logg = spline(theta[1], LOGG)
        nodes = jax.lax.dynamic_slice(self.weight, (0, j, k, 0), (len(self.weight), 4, 4, log_share.size))
        feh = jnp.asarray(FEH.first + FEH.step * np.arange(-1, FEH.num + 1), theta.dtype)
        log_p = log_share - 0.5 * ((feh[:, None] - metallicity.mean) / metallicity.std) ** 2 - jnp.log(metallicity.std)
        number = jnp.einsum("ftgc,t,g,fc->f", nodes, in_log_teff, in_logg, jnp.exp(log_p))
        return number @ feh / jnp.sum(number)

    def sample(self, key: PRNGKeyArray, component: Array, metallicity: Metallicity) -> Float[Array, "sample label"]:
        """A metallicity, a node by its weight there, and a place about the node by its B-spline."""
        key_feh, key_node, key_cell, *keys = jax.random.split(key, 5)
        feh = metallicity.mean + metallicity.std * jax.random.normal(key_feh, component.shape)
        i, in_feh = jax.vmap(lambda feh: spline(feh, FEH, num_before=1))(feh)
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


def other_prior(model: StellarModel) -> str:
    """Which prior this model can do with."""
    if model.labels == LABELS:
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


def spline(x: Float[Array, ""], axis: Axis, num_before: int = 0) -> tuple[Array, Float[Array, " 4"]]:
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
