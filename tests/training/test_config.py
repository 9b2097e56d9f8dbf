import math

import pytest

from albireo.errors import UserError
from albireo.training import TrainingConfig


def test_paper_preset_is_the_schedule_of_the_paper():
    paper = TrainingConfig.preset("paper")
    assert (paper.hidden, paper.iterations, paper.epochs, paper.refine_epochs) == ((32, 32), 20, 25, 0)
    assert (paper.l2, paper.l1, paper.split) == (1e-4, 1e-2, (0.7, 0.2, 0.1))
    assert paper.learning_rate_at(5) == pytest.approx(1e-3 / math.e)
    assert paper.chi2_cut_after(0) == pytest.approx(100)
    assert paper.chi2_cut_after(14) == paper.chi2_cut_after(19) == pytest.approx(5)
    assert paper.chi2_cut_after(7) == pytest.approx(math.sqrt(100 * 5))


def test_toml_sets_what_it_names_and_round_trips(tmp_path):
    path = tmp_path / "train.toml"
    path.write_text('preset = "paper"\nhidden = [16, 16]\nl2 = 0\nparallax_prior_slope = -2\n[bandwidth]\nteff = 40\n')
    config = TrainingConfig.from_toml(path)
    assert (config.hidden, config.l2, config.parallax_prior_slope, config.epochs) == ((16, 16), 0.0, -2, 25)
    assert config.bandwidth == {"teff": 40, "logg": 0.05, "feh": 0.05}
    assert TrainingConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("epoch = 3", "epoch"),
        ("epochs = 2.5", "epochs"),
        ("epochs = 0", "epochs"),
        ("split_seed = -1", "split_seed"),
        ("seed = 4294967296", "seed"),
        ("l2 = -5", "l2"),
        ("chi2_cut_end = -1", "chi2_cut_end"),
        ("density_components = 100000", "density_components"),
        ("[bandwidth]\nlogg = 0", "bandwidth"),
        ('l2 = "small"', "l2"),
        ("hidden = []", "hidden"),
        ("hidden = [16.5, 16]", "hidden"),
        ("split = [0.5, 0.2, 0.2]", "split"),
        ("split = [0.7, nan, 0.1]", "split"),
        ("chi2_cut_end = inf", "chi2_cut_end must be positive and finite"),
        ("l1 = inf", "l1 must be finite"),
        ("parallax_prior_slope = nan", "parallax_prior_slope"),
        ("[bandwidth]\nlogg = nan", "bandwidth"),
        ("average = 1.0", "average"),
        ('preset = "best"', "best"),
        ("update_reddening = 1", "update_reddening"),
        ("members = 1", "members must be 0, or at least 2"),
        ("epochs = ", "train.toml"),
    ],
)
def test_wrong_configuration_is_an_error_that_names_the_key(tmp_path, text, named):
    path = tmp_path / "train.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=named):
        TrainingConfig.from_toml(path)


def test_missing_configuration_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nothing\.toml"):
        TrainingConfig.from_toml(tmp_path / "nothing.toml")
