"""Flags: what may be wrong with a star's posterior, as bits of one integer."""

import enum
from collections.abc import Iterable


class Flag(enum.IntFlag):
    """Every flag; `DESCRIPTIONS` says what each means."""

    NOT_SAMPLED = 1
    NOT_CONVERGED = 2
    DIVERGENT = 4
    SEVERAL_MODES = 8
    POOR_FIT = 16
    OUTSIDE_DOMAIN = 32
    PRIOR_DOMINATED = 64
    PARALLAX_TENSION = 128
    FEW_BANDS = 256
    BAD_INPUT = 512
    OUTSIDE_DUST_MAP = 1024
    OUTLIER = 2048


# Gelman et al. and Vehtari et al. (2021, Bayesian Analysis 16, 667) recommend r_hat < 1.01 and ESS > 400;
# Vehtari et al. (2024, JMLR 25, 72) k_hat < 0.7.
MAX_R_HAT = 1.01
MIN_ESS = 400
MAX_K_HAT = 0.7
# Of weighted draws: no mean is off by more than 0.07 posterior standard deviations (1 σ).
MIN_ESS_OF_MEAN = 200
# A few divergent transitions among thousands do not bias a posterior noticeably; many show unexplored corners.
MAX_DIVERGENT_FRACTION = 0.01
MIN_FIT_P_VALUE = 1e-4
MIN_BANDS = 4
MAX_PARALLAX_TENSION = 3.0
# Two groups of equal width are called modes where their centres are this many widths apart (Ashman et al. 1994,
# AJ 108, 2348, ask for 2; a Gaussian cut in half has 2.6 and a uniform distribution 3.5).
MIN_MODE_SEPARATION = 4.0
# The lesser of two modes has this share of the draws at least, each of more than two this larger one, and all of them
# so many distinct draws: what is less may be chance.
MIN_MODE_FRACTION = 0.01
MIN_FURTHER_MODE_FRACTION = 0.05
MIN_MODE_DRAWS = 8
MAX_PRIOR_WIDTH_RATIO = 0.9

DESCRIPTIONS: dict[Flag, str] = {
    Flag.NOT_SAMPLED: "no usable magnitude, or one alone, or no finite posterior: all results are NaN",
    Flag.NOT_CONVERGED: (
        f"r_hat above {MAX_R_HAT}, effective sample below {MIN_ESS}, k_hat above {MAX_K_HAT}, "
        f"or ess_mean below {MIN_ESS_OF_MEAN}"
    ),
    Flag.DIVERGENT: f"more than {MAX_DIVERGENT_FRACTION:.0%} of the transitions diverged",
    Flag.SEVERAL_MODES: "the draws of a label fall into groups, a dwarf and a giant for instance (`n_modes`)",
    Flag.POOR_FIT: f"the best draw's chi2, or an upper limit, has a p-value below {MIN_FIT_P_VALUE}",
    Flag.OUTSIDE_DOMAIN: "the model had few or no training stars with such labels",
    Flag.PRIOR_DOMINATED: f"a label's 68 % interval is more than {MAX_PRIOR_WIDTH_RATIO} times as wide as its prior's",
    Flag.PARALLAX_TENSION: f"the parallax is more than {MAX_PARALLAX_TENSION:.0f} sigma from what the rest predicts",
    Flag.FEW_BANDS: f"fewer than {MIN_BANDS} bands",
    Flag.BAD_INPUT: "an invalid value of the input was left out",
    Flag.OUTSIDE_DUST_MAP: "most of the posterior lies at distances where the prior's dust map is not reliable",
    Flag.OUTLIER: "one magnitude is more likely an outlier than not (`outlier` names it; with `outliers` alone)",
}


def flag_names(flags: int) -> list[str]:
    """Names of the flags set in an integer, in lower case."""
    return [flag.name.lower() for flag in Flag if flag & int(flags) and flag.name]


def describe_flags() -> Iterable[tuple[int, str, str]]:
    """Bit, name and meaning of every flag."""
    return ((int(flag), str(flag.name).lower(), text) for flag, text in DESCRIPTIONS.items())
