"""Pure numerics: entropy, mutual information, partial information decomposition, discretisation. Bits throughout.

Joint distributions are arrays with axes (first source, second source, target).
"""

from kdlight.information.atoms import estimated_atoms
from kdlight.information.broja_solver import broja
from kdlight.information.decomposition import PID
from kdlight.information.discretizer import Discretizer
from kdlight.information.entropies import entropy, mutual_information
from kdlight.information.gaussian import gaussian_pid
from kdlight.information.histogram import joint_histogram
from kdlight.information.redundancies import i_min, i_mmi
from kdlight.information.resampling import BootstrapPID, Interval, bootstrap

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
