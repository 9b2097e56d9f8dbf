"""A star's certificate in plain words."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from albireo.flags import DESCRIPTIONS, MAX_DIVERGENT_FRACTION, MAX_K_HAT, MAX_R_HAT, MIN_ESS, MIN_ESS_OF_MEAN, Flag
from albireo.labels import MODES

# These are told together with the numbers that they are about.
_TOLD = Flag.NOT_SAMPLED | Flag.NOT_CONVERGED | Flag.DIVERGENT | Flag.SEVERAL_MODES | Flag.POOR_FIT | Flag.OUTLIER
_REFITTED = "-refit"


def certificate_in_words(row: Mapping[str, Any]) -> list[str]:
    """What a row of a summary says of how far a star's posterior can be trusted, a sentence each."""
    flags = Flag(int(row["flags"]))
    if Flag.NOT_SAMPLED in flags:
        return [f"There is no posterior: {DESCRIPTIONS[Flag.NOT_SAMPLED].split(':')[0]}."]
    sentences = [*_of_sampling(row, flags), *_of_fit(row, flags)]
    if Flag.SEVERAL_MODES in flags and Flag.NOT_CONVERGED not in flags:  # groups may be chains that did not mix
        sentences.append(_of_modes(row))
    sentences += [_sentence(text) for flag, text in DESCRIPTIONS.items() if flag in flags and flag not in _TOLD]
    return sentences


def _of_sampling(row: Mapping[str, Any], flags: Flag) -> list[str]:
    sentences = []
    r_hat, k_hat = _number(row, "r_hat_max"), _number(row, "k_hat")
    if np.isfinite(r_hat):
        agree = "All chains agree" if r_hat < MAX_R_HAT else f"The chains do not agree: r̂ should be below {MAX_R_HAT}"
        sentences.append(f"{agree} (r̂ = {r_hat:.3f}); {_effective(row, 'ess_min')}; {_divergences(row, flags)}.")
    elif np.isfinite(k_hat):
        stand = "The weighted draws stand for the posterior"
        if k_hat > MAX_K_HAT:
            stand = f"The weighted draws do not stand for the posterior: k̂ should be below {MAX_K_HAT}"
        elif Flag.NOT_CONVERGED in flags:
            stand = "The weighted draws do not stand for the posterior"
        sentences.append(f"{stand} (k̂ = {k_hat:.2f}); {_effective(row, 'ess_kish')}{_of_means(row)}.")
    elif np.isfinite(_number(row, "ess_kish")):
        stopped = "Sampling stopped before it had converged; " if Flag.NOT_CONVERGED in flags else "Independent draws; "
        sentences.append(f"{stopped}{_effective(row, 'ess_kish')}.")
    if str(row.get("engine", "")).endswith(_REFITTED):
        sentences.append(f"The first sampler's draws could not be trusted, so {row['engine']} served this star.")
    return sentences


def _of_fit(row: Mapping[str, Any], flags: Flag) -> list[str]:
    chi2, n_bands, outlier = _number(row, "chi2"), int(row["n_bands"]), row.get("outlier", "")
    sentences = []
    if Flag.POOR_FIT in flags:
        sentences.append(f"No labels explain the magnitudes (χ² = {chi2:.1f} of {n_bands} bands).")
    elif np.isfinite(chi2):
        sentences.append(f"The best draw explains the magnitudes (χ² = {chi2:.1f} of {n_bands} bands).")
    if isinstance(outlier, str) and outlier:
        sentences.append(f"The magnitude in {outlier} is more likely an outlier than not.")
    return sentences


def _of_modes(row: Mapping[str, Any]) -> str:
    num, shares = _number(row, "n_modes"), [_number(row, name) for name in MODES]
    if not num > 1:  # of a run made before modes were counted
        return _sentence(DESCRIPTIONS[Flag.SEVERAL_MODES])
    held = [f"{100 * share:.0f}" for share in shares if share > 0]
    largest = "the three largest hold" if num > len(held) else "they hold"
    return (
        f"The draws fall into {num:.0f} groups, as of a dwarf and a giant: {largest} "
        f"{', '.join(held[:-1])} and {held[-1]} % of them."
    )


def _effective(row: Mapping[str, Any], name: str) -> str:
    num = _number(row, name)
    return f"{num:,.0f} effective draws" if num > MIN_ESS else f"only {num:,.0f} effective draws, not {MIN_ESS}"


def _of_means(row: Mapping[str, Any]) -> str:
    num = _number(row, "ess_mean")
    return f", and only {num:,.0f} for some mean, not {MIN_ESS_OF_MEAN}" if num <= MIN_ESS_OF_MEAN else ""


def _divergences(row: Mapping[str, Any], flags: Flag) -> str:
    num = _number(row, "n_divergent")
    if not num > 0:
        return "no divergence"
    many = f", more than {MAX_DIVERGENT_FRACTION:.0%} of the transitions" if Flag.DIVERGENT in flags else ""
    return f"{num:,.0f} divergence{'s' if num > 1 else ''}{many}"


def _number(row: Mapping[str, Any], name: str) -> float:
    value = row.get(name)
    return float("nan") if value is None else float(value)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
