"""Base classes and parts of data modules: splits, samples, batches, loaders."""
