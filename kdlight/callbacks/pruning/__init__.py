"""Optimal brain damage, and the second derivatives that it needs."""
