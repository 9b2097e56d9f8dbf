"""Learning the scatter of real stars about a model, which is added to C of Eq. (4).

It maximises the likelihood of stars at a fixed model. Labels and reddenings have errors too: what those explain is not
scatter.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.optimize import minimize

from albireo.errors import UserError
from albireo.model.scatter import Scatter
from albireo.model.stellar import StellarModel
from albireo.training.stars import Fit, Star, fit_star

# On held-out real stars a third shared mode still gains a little in likelihood, a fourth nothing.
NUM_MODES = 3
# An outlier is one star in twenty, with errors five times as large; it must not widen the scatter of the others.
OUTLIERS, OUTLIER_SCALE = 0.05, 5.0
# No calibration is better than this [mag].
MIN_SCATTER = 1e-3
# More stars would not change the outcome.
MAX_STARS = 2000

# Companions brighten all bands about alike; a search that does not start there finds a lesser maximum [mag].
START_OF_ALL_BANDS = 0.2

_UNIT = 0.02


def fit_scatter(model: StellarModel, stars: Star, rows: Int[np.ndarray, " selected"], seed: int) -> Scatter:
    """The scatter under which stars are most likely.

    Args:
        model: a model; a scatter that it has already is not looked at.
        stars: stars whose errors of magnitudes hold no floor.
        rows: which of them to learn from, best such that the model was not trained on.
        seed: of the choice of stars where there are many, and of the start.
    """
    rng, num_bands = np.random.default_rng(seed), len(model.bands)
    rows = rng.choice(rows, MAX_STARS, replace=False) if len(rows) > MAX_STARS else rows
    shared = 0.2 * rng.normal(size=(num_bands, NUM_MODES))
    shared[:, 0] += START_OF_ALL_BANDS / _UNIT
    start = np.concatenate([np.zeros(num_bands), shared.ravel()])
    lowest = [(np.log(MIN_SCATTER / _UNIT), None)] * num_bands + [(None, None)] * (NUM_MODES * num_bands)
    with jax.enable_x64(True):
        model = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), model)
        chosen = jax.tree.map(lambda a: jnp.asarray(a[rows]), stars)

        def objective(parameters):
            value, gradient = _value_and_gradient(model, chosen, jnp.asarray(parameters))
            return float(value), np.asarray(gradient)

        found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=lowest, options={"maxiter": 300})
        if not np.all(np.isfinite(found.x)):
            raise UserError(
                "the scatter could not be learned; look for stars whose magnitudes are far off, or set it off."
            )
        scatter = jax.device_get(_scatter(jnp.asarray(found.x), num_bands))
    return jax.tree.map(lambda a: jnp.asarray(a, float), scatter)


def _scatter(parameters, num_bands):
    return Scatter(_UNIT * jnp.exp(parameters[:num_bands]), _UNIT * parameters[num_bands:].reshape(num_bands, -1))


def _negative_log_likelihood(parameters, model, stars):
    fit = jax.vmap(fit_star, (None, 0))(model.with_scatter(_scatter(parameters, len(model.bands))), stars)
    return -jnp.mean(fit.log_likelihood + jnp.logaddexp(jnp.log1p(-OUTLIERS), jnp.log(OUTLIERS) + outlier_gain(fit)))


def outlier_gain(fit: Fit) -> Float[Array, "*batch"]:
    """What the log-likelihood of a star gains when its covariance is multiplied by OUTLIER_SCALE²."""
    # The density is over all observed bands, one more than there are degrees of freedom: the reddening has its error.
    return 0.5 * fit.chi2 * (1 - OUTLIER_SCALE**-2) - (fit.dof + 1) * jnp.log(OUTLIER_SCALE)


@jax.jit
def _value_and_gradient(model, stars, parameters):
    return jax.value_and_grad(_negative_log_likelihood)(parameters, model, stars)
