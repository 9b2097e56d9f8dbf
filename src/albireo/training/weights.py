"""What is trained of a model: its layers."""

import equinox as eqx

from albireo.model.stellar import Dense, StellarModel

Weights = tuple[tuple[Dense, ...], Dense]


def weights_of(model: StellarModel) -> Weights:
    """The layers of M and of R."""
    return model.layers, model.extinction


def with_weights(model: StellarModel, weights: Weights) -> StellarModel:
    """The model with other layers."""
    return eqx.tree_at(weights_of, model, weights)
