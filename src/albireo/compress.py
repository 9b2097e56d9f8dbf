"""Posteriors in less than 400 bytes a star: a mixture of Gaussians, from which draws can be made again.

The mixture is over the labels, the distance modulus and y, with which the reddening E = s log(1 + exp y) cannot be
negative; s is the standard deviation of E. Every coordinate is shifted and scaled to mean 0 and width 1 (kept in single
precision); the mixture's weights, means and Cholesky factors are kept in half precision, good to a relative 0.0005.
"""

from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float, PRNGKeyArray

from albireo.errors import UserError
from albireo.groups import draws_of, labels_of
from albireo.statistics import flat
from albireo.summary import UNITS

if TYPE_CHECKING:
    import pyarrow as pa

    from albireo.posterior import Posterior

MAX_BYTES = 400
_FORMAT_VERSION = "1"
_NUM_STEPS = 25
# Least variance of a component in any direction, all of the posterior having 1: a twentieth of its width.
_MIN_VARIANCE = 2.5e-3
# Reddenings below this many standard deviations are taken for this: y would go to −∞.
_LEAST_REDDENING = 0.01


class Mixtures(eqx.Module):
    """Mixtures of Gaussians z over the shifted and scaled coordinates, with a leading star axis or without.

    Attributes:
        center: mean of every coordinate: labels, distance modulus [mag], y.
        scale: width of every coordinate.
        softness: s of E = s log(1 + exp y) [mag].
        log_weight: logarithms of the components' weights.
        mean: means of the components.
        cholesky: lower Cholesky factors of their covariances.
    """

    center: Float[Array, "*star dim"]
    scale: Float[Array, "*star dim"]
    softness: Float[Array, "*star"]
    log_weight: Float[Array, "*star component"]
    mean: Float[Array, "*star component dim"]
    cholesky: Float[Array, "*star component dim dim"]


def compress(posterior: "Posterior") -> "pa.Table":
    """A table with a row a star: its id, its row in the input, and `posterior`, a few hundred bytes.

    What is lost is what a mixture of eight Gaussians cannot follow: docs/catalogues.md has figures.
    """
    import pyarrow as pa

    group, labels = posterior.sampled(), labels_of(posterior.tree)
    draws = draws_of(group, labels)
    values = np.concatenate([draws.theta, draws.mu[..., None], draws.reddening[..., None]], axis=-1)
    values = values.reshape(len(posterior), -1, values.shape[-1]).astype(np.float32)
    weight = np.exp(flat(group["log_weight"])) if "log_weight" in group else np.ones(values.shape[:2])
    known = np.isfinite(values).all(axis=(1, 2)) & (weight.sum(axis=1) > 0)
    values, weight = np.where(known[:, None, None], values, 0.0), np.where(known[:, None], weight, 1.0)
    row = np.asarray(posterior.tree["constant_data"]["row"])
    mixtures = _fit(jnp.asarray(values, jnp.float32), jnp.asarray(weight, jnp.float32), jnp.asarray(row, jnp.uint32))
    packed = [record.tobytes() if ok else None for record, ok in zip(_pack(mixtures), known, strict=True)]
    size = _layout(len(labels) + 2).itemsize
    table = pa.table(
        {"star": list(map(str, group["star"].values)), "row": row, "posterior": pa.array(packed, pa.binary(size))}
    )
    return table.replace_schema_metadata({"labels": ",".join(labels), "albireo_compressed": _FORMAT_VERSION})


def decompress(table: "pa.Table", num_samples: int = 1000, seed: int = 0) -> xr.Dataset:
    """Draws from the posteriors in a table of `compress`: the labels, `distance_modulus`, `reddening`, `distance`.

    Args:
        table: as `pyarrow.parquet.read_table` reads it.
        num_samples: independent draws a star.
        seed: of the draws; a star's own seed comes from this and its row.

    Returns:
        The draws over (chain, draw, star), of one chain; NaN for a star that was not sampled.

    Raises:
        UserError: the table is no such table.
    """
    metadata = {name.decode(): value.decode() for name, value in (table.schema.metadata or {}).items()}
    if metadata.get("albireo_compressed") != _FORMAT_VERSION:
        raise UserError("the table holds no compressed posteriors of this version; give a run's compressed.parquet.")
    labels = metadata["labels"].split(",")
    records = table["posterior"].to_pylist()
    known = np.array([record is not None for record in records], bool)
    layout = _layout(len(labels) + 2)
    packed = np.frombuffer(b"".join(record or bytes(layout.itemsize) for record in records), layout)
    keys = jax.vmap(lambda row: jax.random.fold_in(jax.random.key(seed), row))(
        jnp.asarray(table["row"].to_numpy(), jnp.uint32)
    )
    values = np.asarray(_draw(_unpack(packed), keys, num_samples))
    values = np.where(known[:, None, None], values, np.nan)
    names = [*labels, "distance_modulus", "reddening"]
    variables = dict(zip(names, np.moveaxis(values, -1, 0), strict=True))
    variables["distance"] = 10 * 10 ** (variables["distance_modulus"] / 5)
    return xr.Dataset(
        {
            name: (("chain", "draw", "star"), drawn.T[None], {"units": UNITS.get(name, "")})
            for name, drawn in variables.items()
        },
        coords={"chain": [0], "draw": np.arange(num_samples), "star": table["star"].to_pylist()},
    )


def _num_components(dim: int) -> int:
    """As many Gaussians as there is room for."""
    return (MAX_BYTES - 4 * (2 * dim + 1)) // (2 * (1 + dim + dim * (dim + 1) // 2))


def _layout(dim: int) -> np.dtype:
    """What the bytes of a star are."""
    num = _num_components(dim)
    return np.dtype(
        [
            ("center", "<f4", (dim,)),
            ("scale", "<f4", (dim,)),
            ("softness", "<f4"),
            ("log_weight", "<f2", (num,)),
            ("mean", "<f2", (num, dim)),
            ("cholesky", "<f2", (num, dim * (dim + 1) // 2)),
        ]
    )


def _pack(mixtures: Mixtures) -> np.ndarray:
    dim = mixtures.center.shape[-1]
    packed = np.zeros(len(mixtures.center), _layout(dim))
    for name in ("center", "scale", "softness", "log_weight", "mean"):
        packed[name] = np.asarray(getattr(mixtures, name))
    packed["cholesky"] = np.asarray(mixtures.cholesky)[..., *np.tril_indices(dim)]
    return packed


def _unpack(packed: np.ndarray) -> Mixtures:
    dim = packed["center"].shape[-1]
    cholesky = np.zeros((*packed["mean"].shape, dim), np.float32)
    cholesky[..., *np.tril_indices(dim)] = packed["cholesky"]
    others: Any = {name: packed[name].astype(np.float32) for name in packed.dtype.names or () if name != "cholesky"}
    return jax.tree.map(jnp.asarray, Mixtures(cholesky=cholesky, **others))


@eqx.filter_jit
def _draw(mixtures: Mixtures, keys: PRNGKeyArray, num: int) -> Float[Array, "star draw dim"]:
    def one(args):
        mixture, key = args
        key_component, key_normal = jax.random.split(key)
        k = jax.random.categorical(key_component, mixture.log_weight, shape=(num,))
        z = jax.random.normal(key_normal, (num, mixture.center.size))
        z = mixture.mean[k] + jnp.einsum("nij,nj->ni", mixture.cholesky[k], z)
        values = mixture.center + mixture.scale * z
        return values.at[:, -1].set(mixture.softness * jax.nn.softplus(values[:, -1]))

    return jax.lax.map(one, (mixtures, keys))


@eqx.filter_jit
def _fit(
    values: Float[Array, "star draw dim"], weight: Float[Array, "star draw"], seed: Float[Array, " star"]
) -> Mixtures:
    return jax.lax.map(lambda args: _fit_one(*args), (values, weight, seed))


def _fit_one(values: Float[Array, "draw dim"], weight: Float[Array, " draw"], seed) -> Mixtures:
    weight = weight / jnp.sum(weight)
    reddening = values[:, -1]
    softness = jnp.sqrt(weight @ (reddening - weight @ reddening) ** 2) + 1e-6
    e = jnp.maximum(reddening / softness, _LEAST_REDDENING)
    values = values.at[:, -1].set(e + jnp.log(-jnp.expm1(-e)))  # log(exp e − 1), which overflows
    center = weight @ values
    scale = jnp.sqrt(weight @ (values - center) ** 2) + 1e-6 * jnp.abs(center) + 1e-12
    z = (values - center) / scale
    return Mixtures(center, scale, softness, *_maximise_likelihood(z, weight, jax.random.key(seed)))


def _maximise_likelihood(z: Float[Array, "draw dim"], weight: Float[Array, " draw"], key: PRNGKeyArray):
    """Log weights, means and Cholesky factors of the Gaussians, by expectation maximisation.

    Both steps are matrix products with 1, z and z zᵀ of every draw.
    """
    dim = z.shape[1]
    products = jnp.concatenate([jnp.ones((len(z), 1)), z, (z[:, :, None] * z[:, None]).reshape(len(z), -1)], axis=1)

    def maximise(share):
        moments = (share * weight[:, None]).T @ products
        total = moments[:, 0] + 1e-8
        mean = moments[:, 1 : dim + 1] / total[:, None]
        second = moments[:, dim + 1 :].reshape(-1, dim, dim) / total[:, None, None]
        variance, axes = jnp.linalg.eigh(second - mean[:, :, None] * mean[:, None])
        return total / jnp.sum(total), mean, jnp.maximum(variance, _MIN_VARIANCE), axes

    def step(share, _):
        total, mean, variance, axes = maximise(share)
        precision = jnp.einsum("kij,kj,klj->kil", axes, 1 / variance, axes)
        linear = jnp.einsum("kij,kj->ki", precision, mean)
        log_norm = jnp.log(total) - 0.5 * jnp.sum(jnp.log(variance), axis=1) - 0.5 * jnp.sum(linear * mean, axis=1)
        factors = jnp.concatenate([log_norm[:, None], linear, -0.5 * precision.reshape(len(mean), -1)], axis=1)
        return jax.nn.softmax(products @ factors.T, axis=1), None

    share, _ = jax.lax.scan(step, _first_share(z, weight, key), None, length=_NUM_STEPS)
    total, mean, variance, axes = maximise(share)
    cholesky = jnp.linalg.cholesky(jnp.einsum("kij,kj,klj->kil", axes, variance, axes))
    return jnp.log(total), mean, cholesky


def _first_share(z: Float[Array, "draw dim"], weight: Float[Array, " draw"], key: PRNGKeyArray):
    """Every draw to the nearest of some draws far from each other (k-means++: Arthur & Vassilvitskii 2007)."""

    def add(nearest2, key):
        center = z[jax.random.categorical(key, jnp.log(weight * nearest2 + 1e-30))]
        distance2 = jnp.sum((z - center) ** 2, axis=1)
        return jnp.minimum(nearest2, distance2), distance2

    num = _num_components(z.shape[1])
    _, distance2 = jax.lax.scan(add, jnp.full(len(z), 1e6), jax.random.split(key, num))
    return jax.nn.one_hot(jnp.argmin(distance2, axis=0), num)
