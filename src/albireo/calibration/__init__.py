"""Whether posteriors are as wide as they say: simulation-based calibration."""

from albireo.calibration.report import Calibration
from albireo.calibration.run import calibrate, judge
from albireo.calibration.simulate import Simulation, simulate

__all__ = ["Calibration", "Simulation", "calibrate", "judge", "simulate"]
