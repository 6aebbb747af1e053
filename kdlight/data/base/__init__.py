"""What data modules are built from: splits, samples, batches, loaders."""
