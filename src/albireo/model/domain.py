"""Where a model can be trusted: the density of its training stars, band by band (Green et al. 2021, section 6)."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.ndimage import map_coordinates
from jaxtyping import Array, Bool, Float, Int

# Below these densities (peak 1) the paper finds residuals of 3 σ² and calls the model unreliable (section 6).
MIN_DENSITY_ABSOLUTE = 1e-2
MIN_DENSITY_COLOR = 1e-3

# Kernel widths of the paper, section 6, in the labels' own units.
GREEN2020_BANDWIDTH = {"teff": 50.0, "logg": 0.05, "feh": 0.05}

# 20,000 cells of a 13-band model take 1.4 MB, whatever the number of stars in them.
MAX_CELLS = 20_000


class Domain(eqx.Module):
    """Density of training stars over the labels: one for parallax, then one for each band, each with peak 1.

    Labels are in their own units (teff [K], logg [dex], feh [dex]).
    """

    @abc.abstractmethod
    def density(self, theta: Float[Array, "*batch label"]) -> Float[Array, "*batch 1+band"]:
        """Densities at θ: of stars with a usable parallax first, then of stars seen in every band."""

    @abc.abstractmethod
    def select_bands(self, index: Int[Array, " selected"]) -> "Domain":
        """The same domain for a selection of bands."""


class KernelDomain(Domain):
    """Gaussian kernels on training stars, or on small cells of many stars, over labels (teff [K], logg, feh [dex]).

    Attributes:
        center: label values of stars or cells.
        count: how many stars with a usable parallax, then with each band, stand at that centre.
        bandwidth: kernel width of every label.
        peak: the largest raw density of each column of `count`.
    """

    center: Float[Array, "cell label"]
    count: Float[Array, "cell 1+band"]
    bandwidth: Float[Array, " label"]
    peak: Float[Array, " 1+band"]

    @classmethod
    def fit(
        cls,
        theta: Float[np.ndarray, "star label"],
        observed: Bool[np.ndarray, "star 1+band"],
        bandwidth: Float[np.ndarray, " label"],
        max_cells: int = MAX_CELLS,
    ) -> "KernelDomain":
        """The density of stars over their labels.

        Stars that share a small cell are put at their mean, and the kernels are widened by the stars' mean scatter
        within their cells. Cells are half a bandwidth wide, or as much wider as it takes to need at most `max_cells`.

        Args:
            theta: labels of the training stars, in their own units.
            observed: whether each star has a usable parallax, then each band.
            bandwidth: kernel width of every label, in its own unit.
            max_cells: largest number of cells kept.
        """
        center, count, scatter = _gather_in_cells(theta, observed, np.asarray(bandwidth), max_cells)
        width = np.hypot(bandwidth, scatter)
        domain = cls(jnp.asarray(center), jnp.asarray(count), jnp.asarray(width), jnp.ones(count.shape[1]))
        raw = jax.lax.map(domain.density, domain.center, batch_size=256)
        peak = jnp.maximum(raw.max(axis=0), jnp.finfo(raw.dtype).tiny)
        return eqx.tree_at(lambda d: d.peak, domain, peak)

    def density(self, theta: Float[Array, "*batch label"]) -> Float[Array, "*batch 1+band"]:
        """Densities at θ, each with peak 1."""
        return _kernel_sum(theta, self.center, self.count, self.bandwidth) / self.peak

    def select_bands(self, index: Int[Array, " selected"]) -> "KernelDomain":
        """The same domain for a selection of bands."""
        columns = _parallax_and(index)
        return KernelDomain(self.center, self.count[:, columns], self.bandwidth, self.peak[columns])


class GridDomain(Domain):
    """A regular grid over the labels (teff [K], logg, feh [dex]), interpolated linearly, zero outside.

    Attributes:
        lower: label values of the first node of every axis.
        step: distance between nodes of every axis.
        values: densities at the nodes, for parallax first, then for every band.
    """

    lower: Float[Array, " label"]
    step: Float[Array, " label"]
    values: Float[Array, "1+band *node"]

    def density(self, theta: Float[Array, "*batch label"]) -> Float[Array, "*batch 1+band"]:
        """Densities at θ, each with peak 1."""
        position = (jnp.asarray(theta) - self.lower) / self.step
        last = jnp.array(self.values.shape[1:]) - 1
        inside = jnp.all((position >= 0) & (position <= last), axis=-1)
        axes = list(jnp.moveaxis(position, -1, 0))
        density = jax.vmap(lambda grid: map_coordinates(grid, axes, order=1, mode="nearest"), out_axes=-1)(self.values)
        return jnp.where(inside[..., None], density, 0.0)

    def select_bands(self, index: Int[Array, " selected"]) -> "GridDomain":
        """The same domain for a selection of bands."""
        return GridDomain(self.lower, self.step, self.values[_parallax_and(index)])


def _parallax_and(band_index):
    return jnp.concatenate([jnp.zeros(1, int), 1 + jnp.asarray(band_index)])


@jax.jit
def _kernel_sum(theta, center, count, bandwidth):
    # About the mean, so that little cancels where the squared distance is multiplied out: a matrix product is fast.
    middle = jnp.mean(center, axis=0)
    x, y = (theta - middle) / bandwidth, (center - middle) / bandwidth
    # x·y − ½x² − ½y², as one product.
    of_x = jnp.concatenate([x, -0.5 * jnp.sum(x**2, axis=-1, keepdims=True), jnp.ones_like(x[..., :1])], axis=-1)
    of_y = jnp.concatenate([y, jnp.ones_like(y[:, :1]), -0.5 * jnp.sum(y**2, axis=-1, keepdims=True)], axis=-1)
    return jnp.exp(jnp.matmul(of_x, of_y.T, precision="highest")) @ count


def _gather_in_cells(theta, observed, bandwidth, max_cells):
    """Mean labels and counts of the stars in every occupied cell, and the scatter of labels within cells."""
    width = 0.5
    while True:
        cell = np.floor(theta / (width * bandwidth)).astype(np.int64)
        cell -= cell.min(axis=0)
        key = np.ravel_multi_index(tuple(cell.T), tuple(cell.max(axis=0) + 1))
        _, member, size = np.unique(key, return_inverse=True, return_counts=True)
        if len(size) <= max_cells:
            break
        width *= 1.25
    center = _sum_by_cell(theta, member, len(size)) / size[:, None]
    scatter = np.sqrt(np.mean((theta - center[member]) ** 2, axis=0))
    return center, _sum_by_cell(observed.astype(float), member, len(size)), scatter


def _sum_by_cell(values, member, num_cells):
    return np.stack([np.bincount(member, column, num_cells) for column in values.T], axis=1)
