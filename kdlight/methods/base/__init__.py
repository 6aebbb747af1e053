"""The base classes of the methods, and modules and functions from which methods are built."""
