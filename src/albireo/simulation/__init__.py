"""Simulated catalogues: stars drawn from a prior, as surveys would measure them."""

from albireo.simulation.field import mock

__all__ = ["mock"]
