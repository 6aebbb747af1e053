"""``kdlight evaluate``: a student's calibration, robustness and costs in comparison with its teacher."""
