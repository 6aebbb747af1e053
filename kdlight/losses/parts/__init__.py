"""What formulas share: shapes, masks, precision, reductions."""
