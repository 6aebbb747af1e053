"""What a student is worth beside its accuracy: calibration, robustness, and what it costs beside its teacher."""
