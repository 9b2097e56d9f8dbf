"""p(θ | component) from the training stars: how many stars of each kind there are, and of which component they are."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float, PRNGKeyArray

from albireo.cache import keep_result
from albireo.errors import UserError
from albireo.model import StellarModel
from albireo.model.mixture import GaussianMixture, fit_weighted
from albireo.priors.isochrones import Axis
from albireo.priors.lines_of_sight import Sightline, log_seen
from albireo.priors.metallicity import Metallicity
from albireo.priors.stars import LABELS, IsochroneStars, Population, StarsPrior, other_prior, spline

# Absolute magnitudes at which the number of stars that a survey sees is tabulated [mag].
_MAGNITUDE = Axis(-10.0, 0.25, 121)
_NUM_POINTS = 1 << 16
_NUM_BALANCE = 30
_NUM_EM = 12
_DOUBTED = 2.0  # widths of every component in [Fe/H]
_MOST_TILT = 1.5  # of a Gaussian, in its own widths


class TrainingStars(StarsPrior):
    """The density of the training stars, each divided by the chance to be seen, shared out among the components.

    Near the Sun the number of stars of labels θ in a unit of volume is

        p(θ) ∝ q(θ) / Σ_c p(c | θ) S_c(M(θ)) / ν_c

    with q the model's smooth density of training stars, M the absolute magnitude in the reference band, ν_c the share
    of component c near the Sun, and S_c(M) how many stars of c of that magnitude the training surveys could see, in
    units of those of all components near the Sun: those between two apparent magnitudes, spread over distance and dust
    as this same prior has it. In a uniform space S would be ∝ 10^(−0.6 M); but a survey that sees giants to 10 kpc has
    left the disc long before.
    Beyond the faintest hundredth of the training stars S stays what it is there: the tails of q are no measurement of
    how many fainter stars there are.

    How likely a star near the Sun is of each component is told by the labels that isochrones of the component's ages
    and metallicities have:

        p(c | θ) ∝ ν_c b_c p_iso(θ | c),        p(θ | c) = p(θ) p(c | θ) / ν_c

    with the b_c that make each p(θ | c) integrate to one, so that all components together are p(θ). For p_iso [Fe/H] is
    moved by the difference between its means at this teff and logg, among the training stars and among isochrones: the
    labels of cool dwarfs are too poor in metals. Where it is then more than two widths from the mean of every
    component, p(θ) is made to fall, to a hundredth at 2.5 widths, for there labels are mostly wrong.

    Each p(θ | c) is the mixture of Gaussians nearest to the above. Elsewhere every Gaussian is moved in [Fe/H] by the
    difference of the component's means there and near the Sun, and in the other labels as these go with [Fe/H] within
    it. So the numbers of dwarfs and giants stay, and all is normalised and sampled exactly.

    Attributes:
        mixture: p(θ | component) near the Sun.
        feh: mean [Fe/H] of every component near the Sun; none where the components are not told apart.
    """

    mixture: GaussianMixture
    feh: Float[Array, " component"] | None

    @classmethod
    def build(
        cls,
        model: StellarModel,
        anywhere: Sightline,
        populations: Sequence[Population],
        *,
        brightest: float,
        faintest: float,
        seed: int = 0,
    ) -> "TrainingStars":
        """Fit the mixtures to weighted draws.

        Args:
            model: a model with the density of its training stars.
            anywhere: the prior on distance and dust, averaged over the sky.
            populations: ages of every component; without, or where the labels are not those of the isochrones, all
                components have the same stars.
            brightest: of the training stars, apparent magnitude in the reference band.
            faintest: the same.
            seed: of the draws.

        Raises:
            UserError: the model carries no density of its training stars.
        """
        if model.density is None:
            raise UserError(
                "the model carries no density of its training stars, from which this prior takes p(θ); "
                f"take {other_prior(model)} or another model."
            )
        told_apart = populations if model.labels == LABELS else ()
        # Without the spread, which it does not need: a model with one and without make the same prior.
        mixture = _build(model.with_spread(None), anywhere, tuple(told_apart), (brightest, faintest), seed)
        return cls(mixture, _near(anywhere).mean if told_apart else None)

    def log_prob(self, theta: Float[Array, " label"], metallicity: Metallicity) -> Float[Array, " component"]:
        """log p(θ | component), per unit of every label.

        Component by component: what is compiled then runs over many points inside, which takes less than half the time.
        """
        each = self.mixture, self._shift(metallicity, slice(None))
        return jax.lax.map(lambda one: one[0].log_prob_moved(theta, one[1]), each)

    def sample(self, key: PRNGKeyArray, component: Array, metallicity: Metallicity) -> Float[Array, "sample label"]:
        """A Gaussian by its weight, and a draw from it."""

        def draw(args):
            component, shift, key = args
            mixture = jax.tree.map(lambda a: a[component], self.mixture).moved(shift)
            key_gaussian, key_normal = jax.random.split(key)
            k = jax.random.categorical(key_gaussian, mixture.log_weight)
            return mixture.mean[k] + mixture.cholesky[k] @ jax.random.normal(key_normal, mixture.mean.shape[1:])

        keys = jax.random.split(key, component.shape)
        return jax.lax.map(draw, (component, self._shift(metallicity, component), keys), batch_size=256)

    def _shift(self, here: Metallicity, component: Array | slice) -> Array:
        """By how much the mean [Fe/H] of these components differs from that near the Sun."""
        return jnp.zeros_like(here.mean) if self.feh is None else here.mean - self.feh[component]


def _near(anywhere: Sightline) -> Metallicity:
    return Metallicity(*(table[0] for table in anywhere.metallicity))  # the first distance of the tables is 1 pc


@keep_result(GaussianMixture(0.0, 0.0, 0.0, 0.0))
def _build(
    model: StellarModel,
    anywhere: Sightline,
    populations: tuple[Population, ...],
    limits: tuple[float, float],
    seed: int,
) -> GaussianMixture:
    isochrones = IsochroneStars.build(model, populations) if populations else None
    return _fit(model, anywhere, isochrones, jnp.asarray(limits, jnp.float32), jax.random.key(seed))


@eqx.filter_jit
def _fit(
    model: StellarModel,
    anywhere: Sightline,
    isochrones: IsochroneStars | None,
    limits: Float[Array, " 2"],
    key: PRNGKeyArray,
) -> GaussianMixture:
    """p(θ | component) near the Sun, fitted to draws from q and from q divided by S."""
    density = model.density
    assert density is not None
    key_faint, key_seen, key_all = jax.random.split(key, 3)
    near, log_share = _near(anywhere), jax.nn.log_softmax(anywhere.log_number[0])
    seen = _log_seen_table(model, anywhere, limits, density.sample(key_faint, _NUM_POINTS))

    def log_seen_at(theta):
        i, values = spline(model.absolute_magnitudes(theta)[0], _MAGNITUDE)
        return values @ jax.lax.dynamic_slice(seen, (i, 0), (4, seen.shape[1]))

    start = _times(density, lambda theta: -logsumexp(log_seen_at(theta)))
    theta = jnp.concatenate([density.sample(key_seen, _NUM_POINTS), start.sample(key_all, _NUM_POINTS)])

    def at(theta):
        log_q, each = density.log_prob(theta), start.log_components(theta)
        log_proposal = jnp.logaddexp(log_q, logsumexp(each)) - np.log(2)
        log_iso = jnp.zeros(log_share.size)
        if isochrones is not None:
            offset = _mean_feh(start, theta) - isochrones.mean_feh(theta, log_share, near)
            log_iso = isochrones.log_prob(theta.at[-1].add(-offset), near)
            z = jnp.min(jnp.abs(theta[-1] - offset - near.mean) / near.std)
            log_q -= 2 * jnp.maximum(z**2 - _DOUBTED**2, 0)
        return log_q - log_proposal, log_seen_at(theta), log_iso, jax.nn.softmax(each)

    log_ratio, log_seen_each, log_iso, responsibility = jax.lax.map(at, theta, batch_size=4096)

    def log_weights(balance):
        """Of every draw for p(θ | component), so that those of all components together, times ν, sum to one."""
        log_membership = log_iso + balance
        log_membership -= logsumexp(log_share + log_membership, axis=1, keepdims=True)  # log p(c | θ) / ν_c
        log_p = log_ratio - logsumexp(log_membership + log_seen_each, axis=1)
        return jax.nn.log_softmax(log_p)[:, None] + log_membership

    def step(balance, _):
        return balance - logsumexp(log_weights(balance), axis=0), None

    balance, _ = jax.lax.scan(step, jnp.zeros(log_share.size), None, length=_NUM_BALANCE)
    weights = jax.nn.softmax(log_weights(balance), axis=0)
    return jax.lax.map(lambda weight: fit_weighted(theta, weight, responsibility, _NUM_EM), weights.T)


def _log_seen_table(model, anywhere, limits, theta) -> Float[Array, "magnitude component"]:
    """log S at the absolute magnitudes of the table, up to the faintest hundredth of the training stars."""
    extinction = model.extinction_vector(model.label_median)[0]
    faint = jnp.quantile(jax.lax.map(lambda t: model.absolute_magnitudes(t)[0], theta, batch_size=4096), 0.99)
    magnitudes = jnp.minimum(jnp.asarray(_MAGNITUDE.nodes, jnp.float32), faint)
    return jax.vmap(lambda magnitude: log_seen(anywhere, magnitude, extinction, limits[0], limits[1]))(magnitudes)


def _mean_feh(mixture: GaussianMixture, theta: Float[Array, " label"]) -> Float[Array, ""]:
    """Mean of the last label given all others."""
    others = GaussianMixture(
        mixture.log_weight, mixture.mean[:, :-1], mixture.cholesky[:, :-1, :-1], mixture.whitener[:, :-1, :-1]
    )
    z = jnp.einsum("kij,kj->ki", others.whitener, theta[:-1] - others.mean)
    each = mixture.mean[:, -1] + jnp.einsum("kj,kj->k", mixture.cholesky[:, -1, :-1], z)
    return jax.nn.softmax(others.log_components(theta[:-1])) @ each


def _times(mixture: GaussianMixture, log_f) -> GaussianMixture:
    """About a mixture times a function, its logarithm taken to be linear within each Gaussian, and not too steep."""
    log_weight, gradient = jax.vmap(jax.value_and_grad(log_f))(mixture.mean)
    along = jnp.einsum("kji,kj->ki", mixture.cholesky, gradient)
    along *= jnp.minimum(1, _MOST_TILT / jnp.linalg.norm(along, axis=-1, keepdims=True))
    log_weight += mixture.log_weight + 0.5 * jnp.sum(along**2, axis=-1)
    mean = mixture.mean + jnp.einsum("kij,kj->ki", mixture.cholesky, along)
    return GaussianMixture(log_weight - logsumexp(log_weight), mean, mixture.cholesky, mixture.whitener)
