"""A mixture of Gaussians over the labels: a compact, smooth density that is quick to evaluate and to sample."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float, PRNGKeyArray

# Least variance of a component, in units of the variance of all points: what is narrower is not trusted.
MIN_VARIANCE = 1e-2
# More points would not change a mixture of some tens of Gaussians.
MAX_POINTS = 20_000
NUM_DECONVOLUTIONS = 100


class GaussianMixture(eqx.Module):
    """Σ_k weight_k N(θ; mean_k, L_k L_kᵀ), normalised over all θ.

    θ are labels in any units, [K] and [dex] for those of the priors.

    Attributes:
        log_weight: logarithms of weights that sum to one.
        mean: component means.
        cholesky: lower Cholesky factors L of the component covariances.
        whitener: their inverses, kept because a triangular solve costs more than the rest of the density.
    """

    log_weight: Float[Array, " component"]
    mean: Float[Array, "component label"]
    cholesky: Float[Array, "component label label"]
    whitener: Float[Array, "component label label"]

    @classmethod
    def fit(
        cls,
        points: Float[np.ndarray, "point label"],
        num_components: int,
        seed: int,
        error_cholesky: Float[np.ndarray, "point label label"] | None = None,
    ) -> "GaussianMixture":
        """Fit to points by expectation maximisation, each axis first scaled to unit width.

        Args:
            points: the points.
            num_components: number of Gaussians.
            seed: of the start, and of the choice of points where there are many.
            error_cholesky: lower Cholesky factors of the points' error covariances: the density is then that of the
                points without their errors, by extreme deconvolution (Bovy, Hogg & Roweis 2011, AnApS 5, 1657).
        """
        from sklearn.mixture import GaussianMixture as Fitter

        chosen = np.random.default_rng(seed).permutation(len(points))[:MAX_POINTS]
        points = np.asarray(points, np.float64)[chosen]
        center, scale = points.mean(axis=0), points.std(axis=0)
        fit = Fitter(num_components, reg_covar=1e-3, random_state=seed).fit((points - center) / scale)
        moments = np.asarray(fit.weights_), np.asarray(fit.means_), np.asarray(fit.covariances_)
        if error_cholesky is not None:
            moments = _deconvolve((points - center) / scale, error_cholesky[chosen] / scale[:, None], *moments)
        weight, mean, covariance = moments
        return cls.from_moments(np.log(weight), mean * scale + center, np.linalg.cholesky(covariance) * scale[:, None])

    @classmethod
    def from_moments(
        cls,
        log_weight: Float[np.ndarray, " component"],
        mean: Float[np.ndarray, "component label"],
        cholesky: Float[np.ndarray, "component label label"],
    ) -> "GaussianMixture":
        """From log weights, means and lower Cholesky factors of the covariances."""
        whitener = np.linalg.inv(cholesky)
        return cls(jnp.asarray(log_weight), jnp.asarray(mean), jnp.asarray(cholesky), jnp.asarray(whitener))

    @eqx.filter_jit
    def log_prob(self, theta: Float[Array, " label"]) -> Float[Array, ""]:
        """Logarithm of the density per unit label volume, of one point."""
        return logsumexp(self.log_components(theta))

    def log_components(self, theta: Float[Array, " label"]) -> Float[Array, " component"]:
        """Logarithm of each component's contribution to the density.

        A quadratic of θ, so that those of many points are one matrix product.
        """
        middle = self._middle
        return jnp.matmul(_coefficients(self, middle), _features(theta - middle), precision="highest")

    def moved(self, shift: Float[Array, ""]) -> "GaussianMixture":
        """Every Gaussian moved by so much in the last label, and in the others as they go with it."""
        with_last = jnp.einsum("kij,kj->ki", self.cholesky, self.cholesky[:, -1])
        mean = self.mean + shift * with_last / with_last[:, -1:]
        return GaussianMixture(self.log_weight, mean, self.cholesky, self.whitener)

    def log_prob_moved(self, theta: Float[Array, " label"], shift: Float[Array, ""]) -> Float[Array, ""]:
        """`log_prob` of the mixture `moved` by a shift that is another for every point.

        A Gaussian so moved keeps its distribution of the other labels given the last, so that it changes as that of
        the last label alone does: by shift (θ_last − mean − ½ shift) / variance, which are two features more.
        """
        middle = self._middle
        precision = 1 / jnp.sum(self.cholesky[:, -1] ** 2, axis=-1)
        of_shift = jnp.stack([precision, -precision * (self.mean[:, -1] - middle[-1])], axis=1)
        coefficients = jnp.concatenate([_coefficients(self, middle), of_shift], axis=1)
        x = theta - middle
        features = jnp.concatenate([_features(x), jnp.stack([shift * (x[-1] - 0.5 * shift), shift])])
        return logsumexp(jnp.matmul(coefficients, features, precision="highest"))

    @property
    def _middle(self) -> Float[Array, " label"]:
        """About which quadratics are expanded, for there little cancels."""
        return jax.nn.softmax(self.log_weight) @ self.mean

    @eqx.filter_jit
    def sample(self, key: PRNGKeyArray, num_samples: int) -> Float[Array, "sample label"]:
        """Independent draws."""
        key_component, key_normal = jax.random.split(key)
        k = jax.random.choice(key_component, self.log_weight.size, (num_samples,), p=jnp.exp(self.log_weight))
        z = jax.random.normal(key_normal, (num_samples, self.mean.shape[1]), dtype=self.mean.dtype)
        return self.mean[k] + jnp.einsum("nij,nj->ni", self.cholesky[k], z)


def whiten(x: Float[Array, "point label"], weight: Float[Array, " point"]) -> tuple[Array, Array, Array, Array]:
    """The mean of weighted points, a Cholesky factor of their covariance, its inverse, and the points so scaled."""
    center = weight @ x
    covariance = ((x - center).T * weight) @ (x - center)
    cholesky = jnp.linalg.cholesky(covariance + 1e-5 * jnp.eye(x.shape[1], dtype=x.dtype))
    whitener = _inverse(cholesky)
    return center, cholesky, whitener, (x - center) @ whitener.T


def _features(x: Float[Array, " label"]) -> Float[Array, " feature"]:
    """1, x and the upper triangle of x xᵀ."""
    products = [x[i] * x[j] for i, j in zip(*np.triu_indices(x.size), strict=True)]
    return jnp.stack([jnp.ones_like(x[0]), *x, *products])


def _coefficients(mixture: GaussianMixture, middle: Float[Array, " label"]) -> Float[Array, "component feature"]:
    """Of the features of θ − middle in the logarithms of the components."""
    offset = jnp.einsum("kij,kj->ki", mixture.whitener, mixture.mean - middle)
    linear = jnp.einsum("kij,ki->kj", mixture.whitener, offset)
    log_det = jnp.sum(jnp.log(jnp.diagonal(mixture.whitener, axis1=1, axis2=2)), axis=1)
    log_norm = log_det - 0.5 * middle.size * np.log(2 * np.pi)
    constant = mixture.log_weight + log_norm - 0.5 * jnp.sum(offset**2, axis=1)
    i, j = np.triu_indices(middle.size)
    precision = jnp.einsum("kil,kim->klm", mixture.whitener, mixture.whitener)[:, i, j]
    factor = np.where(i == j, -0.5, -1.0).astype(precision.dtype)  # the upper triangle counts for the lower, too
    return jnp.concatenate([constant[:, None], linear, factor * precision], axis=1)


def fit_weighted(
    x: Float[Array, "point label"],
    weight: Float[Array, " point"],
    responsibility: Float[Array, "point component"],
    num_steps: int,
) -> GaussianMixture:
    """The mixture after so many steps of expectation maximisation with weighted points, inside `jax.jit`.

    In coordinates in which the points have unit covariance, so that the logarithms of all components are one matrix
    product of the points and their squares, and the moments another.

    Args:
        x: the points.
        weight: theirs, which sum to one.
        responsibility: to which share each point belongs to each component at first.
        num_steps: how many.
    """
    dim = x.shape[1]
    center, cholesky, whitener, z = whiten(x, weight)
    features = jax.vmap(_features, in_axes=0, out_axes=1)(z)
    weighted = (features * weight).T
    i, j = np.triu_indices(dim)
    place = np.zeros((dim, dim), int)
    place[i, j] = place[j, i] = np.arange(len(i))
    middle = jnp.zeros_like(center)

    def maximise(responsibility):
        moments = jnp.matmul(responsibility, weighted, precision="highest")
        total = moments[:, 0] + 1e-6
        mean = moments[:, 1 : 1 + dim] / total[:, None]
        square = moments[:, 1 + dim :][:, place] / total[:, None, None]
        # Every component is at least a tenth as wide as the whole in each direction.
        cov = square - mean[:, :, None] * mean[:, None] + MIN_VARIANCE * jnp.eye(dim, dtype=x.dtype)
        factor = jnp.linalg.cholesky(cov)
        return GaussianMixture(jnp.log(total / jnp.sum(total)), mean, factor, jax.vmap(_inverse)(factor))

    def logits(mixture):
        return jnp.matmul(_coefficients(mixture, middle), features, precision="highest")

    def step(responsibility, _):
        return jax.nn.softmax(logits(maximise(responsibility)), axis=0), None

    responsibility, _ = jax.lax.scan(step, responsibility.T, None, length=num_steps)
    fit = maximise(responsibility)
    return GaussianMixture(
        fit.log_weight, center + fit.mean @ cholesky.T, cholesky @ fit.cholesky, fit.whitener @ whitener
    )


def _inverse(cholesky: Float[Array, "label label"]) -> Float[Array, "label label"]:
    return jax.scipy.linalg.solve_triangular(cholesky, jnp.eye(len(cholesky), dtype=cholesky.dtype), lower=True)


def _deconvolve(points, error_cholesky, weight, mean, covariance):
    """Weights, means and covariances of Gaussians under which the noisy points are most likely, from a start."""
    with jax.enable_x64(True):
        data, moments = jax.tree.map(jnp.asarray, ((points, error_cholesky), (weight, mean, covariance)))
        for _ in range(NUM_DECONVOLUTIONS):
            moments = _deconvolution_step(*data, *moments)
        return jax.device_get(moments)


@jax.jit
def _deconvolution_step(points, error_cholesky, weight, mean, covariance):
    """One step of extreme deconvolution: Eqs. (16) and (17) of Bovy et al., with a least variance for every axis."""
    num_points, dim = points.shape
    residual = points[:, None] - mean
    # T⁻¹ of T = V_k + S_i and its determinant, one column of the Cholesky factor of S_i at a time.
    precision = jnp.broadcast_to(jnp.linalg.inv(covariance), (num_points, *covariance.shape))
    log_det = jnp.linalg.slogdet(covariance)[1]
    for j in range(dim):
        seen = jnp.einsum("nkij,nj->nki", precision, error_cholesky[:, :, j])
        total = 1 + jnp.einsum("nki,ni->nk", seen, error_cholesky[:, :, j])
        precision = precision - seen[..., :, None] * seen[..., None, :] / total[..., None, None]
        log_det = log_det + jnp.log(total)
    weighted = jnp.einsum("nkij,nkj->nki", precision, residual)
    log_density = jnp.log(weight) - 0.5 * (log_det + jnp.sum(residual * weighted, axis=-1))
    share = jax.nn.softmax(log_density, axis=1)
    mass = jnp.sum(share, axis=0) + 1e-10
    # Where the point itself is, if it belongs to the component: b_ik, B_ik of the paper.
    expected = mean + jnp.einsum("kij,nkj->nki", covariance, weighted)
    remaining = covariance - jnp.einsum("kij,nkjl,klm->nkim", covariance, precision, covariance)
    mean = jnp.einsum("nk,nki->ki", share, expected) / mass[:, None]
    apart = expected - mean
    spread = jnp.einsum("nk,nki,nkj->kij", share, apart, apart) + jnp.einsum("nk,nkij->kij", share, remaining)
    variance, axes = jnp.linalg.eigh(spread / mass[:, None, None])
    covariance = jnp.einsum("kij,kj,klj->kil", axes, jnp.maximum(variance, MIN_VARIANCE), axes)
    return mass / num_points, mean, covariance
