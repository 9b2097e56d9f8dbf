"""A certificate in words: every number in it is the summary's, and every flag is told once."""

import pytest

from albireo.flags import DESCRIPTIONS, Flag
from albireo.labels import MODES
from albireo.report.words import certificate_in_words

NUTS = {
    "flags": 0,
    "r_hat_max": 1.0031,
    "ess_min": 1200.4,
    "n_divergent": 0.0,
    "k_hat": float("nan"),
    "ess_kish": float("nan"),
}
WEIGHTED = {"flags": 0, "r_hat_max": float("nan"), "k_hat": 0.213, "ess_kish": 1450.0, "ess_min": float("nan")}
FIT = {"chi2": 5.21, "n_bands": 13, "engine": "nuts"}

SAID = {
    "good chains": (NUTS, ["All chains agree (r̂ = 1.003); 1,200 effective draws; no divergence."]),
    "bad chains": (
        NUTS | {"flags": 6, "r_hat_max": 1.08, "ess_min": 40.0, "n_divergent": 31.0},
        [
            "The chains do not agree: r̂ should be below 1.01 (r̂ = 1.080); only 40 effective draws, not 400; "
            "31 divergences, more than 1% of the transitions."
        ],
    ),
    "good weights": (WEIGHTED, ["The weighted draws stand for the posterior (k̂ = 0.21); 1,450 effective draws."]),
    "bad weights": (
        WEIGHTED | {"flags": 2, "k_hat": 0.93},
        ["The weighted draws do not stand for the posterior: k̂ should be below 0.7 (k̂ = 0.93); 1,450 effective draws."],
    ),
    "another sampler": (
        NUTS | {"engine": "nuts-refit"},
        [
            "All chains agree (r̂ = 1.003); 1,200 effective draws; no divergence.",
            "The first sampler's draws could not be trusted, so nuts-refit served this star.",
        ],
    ),
    "means of few effective draws": (
        WEIGHTED | {"flags": 2, "ess_mean": 99.0},
        [
            "The weighted draws do not stand for the posterior (k̂ = 0.21); 1,450 effective draws, "
            "and only 99 for some mean, not 200."
        ],
    ),
    "too few draws": (
        WEIGHTED | {"flags": 2, "ess_kish": 94.0, "ess_mean": 300.0},
        ["The weighted draws do not stand for the posterior (k̂ = 0.21); only 94 effective draws, not 400."],
    ),
    "nested out of calls": (
        {"flags": 2, "ess_kish": 1800.0},
        ["Sampling stopped before it had converged; 1,800 effective draws."],
    ),
    "chains that do not mix": (
        NUTS | {"flags": 2 | 8, "r_hat_max": 3.0, "n_modes": 5, "first_mode": 0.3},
        [
            "The chains do not agree: r̂ should be below 1.01 (r̂ = 3.000); 1,200 effective draws; no divergence.",
        ],
    ),
    "nested": ({"flags": 0, "ess_kish": 2000.0}, ["Independent draws; 2,000 effective draws."]),
}


@pytest.mark.parametrize("name", SAID)
def test_sampling_is_told_in_words(name):
    row, sentences = SAID[name]
    assert certificate_in_words(FIT | row) == [
        *sentences,
        "The best draw explains the magnitudes (χ² = 5.2 of 13 bands).",
    ]


def test_fit_and_outlier_are_told():
    said = certificate_in_words(FIT | NUTS | {"flags": 16 | 2048, "chi2": 88.0, "outlier": "wise_w1"})
    assert said[1:] == [
        "No labels explain the magnitudes (χ² = 88.0 of 13 bands).",
        "The magnitude in wise_w1 is more likely an outlier than not.",
    ]


def test_a_star_without_a_posterior_has_nothing_else():
    nothing = dict.fromkeys(("r_hat_max", "k_hat", "chi2"), float("nan"))
    assert certificate_in_words(FIT | NUTS | nothing | {"flags": 1 | 256}) == [
        "There is no posterior: no usable magnitude, or one alone, or no finite posterior."
    ]


@pytest.mark.parametrize("flag", [Flag.PRIOR_DOMINATED, Flag.OUTSIDE_DOMAIN, Flag.PARALLAX_TENSION, Flag.BAD_INPUT])
def test_other_flags_are_told_by_their_meaning(flag):
    text = DESCRIPTIONS[flag]
    assert certificate_in_words(FIT | NUTS | {"flags": int(flag)})[-1] == f"{text[0].upper()}{text[1:]}."


@pytest.mark.parametrize(
    ("num", "shares", "said"),
    [
        (2, (0.84, 0.16, 0.0), "2 groups, as of a dwarf and a giant: they hold 84 and 16 % of them."),
        (3, (0.6, 0.3, 0.1), "3 groups, as of a dwarf and a giant: they hold 60, 30 and 10 % of them."),
        (4, (0.4, 0.3, 0.2), "4 groups, as of a dwarf and a giant: the three largest hold 40, 30 and 20 % of them."),
    ],
)
def test_modes_are_told_with_their_shares(num, shares, said):
    row = {"flags": int(Flag.SEVERAL_MODES), "n_modes": num} | dict(zip(MODES, shares, strict=True))
    assert certificate_in_words(FIT | NUTS | row)[-1] == f"The draws fall into {said}"


def test_modes_of_a_run_that_did_not_count_them_are_told():
    text = DESCRIPTIONS[Flag.SEVERAL_MODES]
    assert certificate_in_words(FIT | NUTS | {"flags": 8})[-1] == f"{text[0].upper()}{text[1:]}."
