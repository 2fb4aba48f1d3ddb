"""Proof: each formula of the package against autodiff and central differences, row by row."""
