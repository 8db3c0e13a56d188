"""Compiled kernels. The modules in here import numba: import them only where a kernel runs."""
