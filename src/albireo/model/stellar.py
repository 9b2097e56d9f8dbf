"""The stellar model: absolute magnitudes M(θ) and extinction per unit reddening R(θ).

With x = (θ − median)/std of the training stars (Green et al. 2021, section 2.1):

    B M(x) = dense(sigmoid(dense(sigmoid(dense(x)))))     first entry: reference band, the rest: colours to it
    R(x)   = exp(W x + b)                                  extinction per unit reddening, every band
    m      = M(x) + μ + E R(x) + scatter + spread          apparent magnitudes, Eq. (2)

Scatter is what stars of the same labels differ by, spread what other networks would have predicted; the paper's model
has neither.
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from albireo.model.domain import Domain
from albireo.model.mixture import GaussianMixture
from albireo.model.network import Dense, network, select_outputs
from albireo.model.scatter import Scatter
from albireo.model.spread import Spread


class StellarModel(eqx.Module):
    """Photometry of a star as a function of its labels, distance modulus and reddening.

    All methods take one star or any leading batch axes, and are differentiable.

    Attributes:
        layers: dense layers of B·M, with sigmoids between them.
        extinction: the layer whose exponential is R.
        label_median: median label of the training stars, in the labels' own units.
        label_std: standard deviation of the labels of the training stars.
        bands: band names; the first is the reference band.
        labels: label names, by default teff [K], logg [dex], feh [dex].
        density: smooth number density of the training stars over the labels, without their errors, or None.
        domain: where the training stars are, band by band, or None.
        scatter: how real stars scatter about the model, or None if they are taken not to.
        spread: how well the training stars determine M, or None if it is taken as exact.
        metadata: provenance (data, configuration, held-out figures): plain JSON values.
    """

    layers: tuple[Dense, ...]
    extinction: Dense
    label_median: Float[Array, " label"]
    label_std: Float[Array, " label"]
    bands: tuple[str, ...] = eqx.field(static=True)
    labels: tuple[str, ...] = eqx.field(static=True)
    density: GaussianMixture | None = None
    domain: Domain | None = None
    scatter: Scatter | None = None
    spread: Spread | None = None
    metadata: Any = eqx.field(static=True, default=None)

    @classmethod
    def initialise(
        cls,
        key: PRNGKeyArray,
        *,
        bands: Sequence[str],
        labels: Sequence[str],
        label_median: Float[Array, " label"],
        label_std: Float[Array, " label"],
        hidden: Sequence[int] = (32, 32),
    ) -> "StellarModel":
        """An untrained model: Glorot-uniform kernels, zero biases, R = 1 everywhere."""
        layers = _initialise_layers(key, (len(labels), *hidden, len(bands)))
        extinction = Dense(jnp.zeros((len(labels), len(bands))), jnp.zeros(len(bands)))
        return cls(layers, extinction, jnp.asarray(label_median), jnp.asarray(label_std), tuple(bands), tuple(labels))

    def restart(self, key: PRNGKeyArray) -> "StellarModel":
        """The same model, untrained."""
        hidden = [layer.bias.size for layer in self.layers[:-1]]
        names = {"bands": self.bands, "labels": self.labels, "hidden": hidden}
        return self.initialise(key, label_median=self.label_median, label_std=self.label_std, **names)

    def standardise(self, theta: Float[Array, "*batch label"]) -> Float[Array, "*batch label"]:
        """x = (θ − median)/std: the network's input."""
        return (theta - self.label_median) / self.label_std

    @eqx.filter_jit
    def absolute_magnitudes(self, theta: Float[Array, "*batch label"]) -> Float[Array, "*batch band"]:
        """M(θ): unreddened magnitudes at 10 pc [mag]."""
        return network(self.layers, self.standardise(theta))

    @eqx.filter_jit
    def extinction_vector(self, theta: Float[Array, "*batch label"]) -> Float[Array, "*batch band"]:
        """R(θ): extinction per unit reddening in every band [mag/mag]."""
        return jnp.exp(self.extinction(self.standardise(theta)))

    @eqx.filter_jit
    def magnitudes(
        self,
        theta: Float[Array, "*batch label"],
        distance_modulus: Float[Array, "*batch"],
        reddening: Float[Array, "*batch"],
    ) -> Float[Array, "*batch band"]:
        """Apparent magnitudes m = M(θ) + μ + E·R(θ), Eq. (2).

        Args:
            theta: labels in their own units (teff in K, logg and feh in dex).
            distance_modulus: μ = 5 log10(d / 10 pc) [mag].
            reddening: E in the units of SFD and Bayestar19 [mag].
        """
        mu, ebv = jnp.asarray(distance_modulus)[..., None], jnp.asarray(reddening)[..., None]
        return self.absolute_magnitudes(theta) + mu + ebv * self.extinction_vector(theta)

    def with_scatter(self, scatter: Scatter | None) -> "StellarModel":
        """The same model with another scatter, or with none."""
        return eqx.tree_at(lambda model: model.scatter, self, scatter, is_leaf=lambda leaf: leaf is None)

    def with_spread(self, spread: Spread | None) -> "StellarModel":
        """The same model with another spread, or with none."""
        return eqx.tree_at(lambda model: model.spread, self, spread, is_leaf=lambda leaf: leaf is None)

    def exact(self) -> "StellarModel":
        """The same model, taken to predict every star exactly: without scatter and spread."""
        return self.with_scatter(None).with_spread(None)

    def select_bands(self, bands: Sequence[str]) -> "StellarModel":
        """The same model, of these bands only, in this order; the first becomes the reference band.

        Raises:
            ValueError: a band is not one of the model's.
        """
        unknown = [band for band in bands if band not in self.bands]
        if unknown:
            raise ValueError(f"the model has no band {unknown[0]!r}; it has {', '.join(self.bands)}.")
        index = np.array([self.bands.index(band) for band in bands])
        extinction = Dense(self.extinction.kernel[:, index], self.extinction.bias[index])
        return StellarModel(
            select_outputs(self.layers, index),
            extinction,
            self.label_median,
            self.label_std,
            tuple(bands),
            self.labels,
            self.density,
            None if self.domain is None else self.domain.select_bands(index),
            None if self.scatter is None else self.scatter.select_bands(index),
            None if self.spread is None else self.spread.select_bands(index),
            self.metadata,
        )


@partial(jax.jit, static_argnums=1)
def _initialise_layers(key: PRNGKeyArray, sizes: tuple[int, ...]) -> tuple[Dense, ...]:
    glorot = jax.nn.initializers.glorot_uniform()
    keys = jax.random.split(key, len(sizes) - 1)
    return tuple(Dense(glorot(k, shape), jnp.zeros(shape[1])) for k, shape in zip(keys, pairwise(sizes), strict=True))
