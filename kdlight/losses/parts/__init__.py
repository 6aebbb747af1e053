"""What the losses share: masks, pooling, reductions, precision, and checks of shapes."""
