"""Pure numerics: entropy, mutual information, partial information decomposition, discretisation. Bits throughout.

Joint distributions are arrays with axes (first source, second source, target).
"""

from kdlight.information.atoms import estimated_atoms
from kdlight.information.bootstrap import BootstrapPID, Interval, bootstrap
from kdlight.information.broja import broja
from kdlight.information.discretizer import Discretizer
from kdlight.information.entropy import entropy, mutual_information
from kdlight.information.gaussian import gaussian_pid
from kdlight.information.histogram import joint_histogram
from kdlight.information.intersection import i_min, i_mmi
from kdlight.information.pid import PID

__all__ = [
    "PID",
    "BootstrapPID",
    "Discretizer",
    "Interval",
    "bootstrap",
    "broja",
    "entropy",
    "estimated_atoms",
    "gaussian_pid",
    "i_min",
    "i_mmi",
    "joint_histogram",
    "mutual_information",
]
