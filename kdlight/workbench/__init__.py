"""Reads finished runs: tables and pictures of their results."""
