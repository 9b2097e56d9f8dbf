"""The tail of the normal distribution: SciPy's, in single and in double precision, and its derivative."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from albireo.normal import inverse_mills, log_ndtr

X = np.concatenate([np.linspace(-60, 12, 1001), -np.logspace(-6, 3, 50)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log_ndtr_is_scipys(dtype):
    with jax.enable_x64(dtype is np.float64):
        ours = np.asarray(log_ndtr(jnp.asarray(X, dtype)), float)
    # The rounding of x² is beyond the approximation's reach.
    rounding = 4 * np.finfo(dtype).eps * X**2
    np.testing.assert_array_less(np.abs(ours - special.log_ndtr(X.astype(dtype).astype(float))), 5e-7 + rounding)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_inverse_mills_is_the_derivative(dtype):
    x = X[X < 9].astype(dtype)
    with jax.enable_x64(dtype is np.float64):
        ours = np.asarray(inverse_mills(jnp.asarray(x)), float)
        slope = np.asarray(jax.vmap(jax.grad(log_ndtr))(jnp.asarray(x)), float)
    # φ/Φ by erfcx where Φ is small.
    wide = x.astype(float)
    expected = np.where(
        wide < 0,
        np.sqrt(2 / np.pi) / special.erfcx(np.maximum(-wide, 0) / np.sqrt(2)),
        np.exp(-0.5 * wide**2) / np.sqrt(2 * np.pi) / special.ndtr(np.maximum(wide, 0)),
    )
    rounding = np.where(wide < 0, 0, 2 * np.finfo(dtype).eps * wide**2)
    np.testing.assert_array_less(np.abs(ours / expected - 1), 3e-6 + rounding)
    np.testing.assert_array_equal(slope, ours)
