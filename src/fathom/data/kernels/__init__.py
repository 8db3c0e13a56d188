"""Kernels of the scenes in numba source; `fathom.classical.native` compiles and keeps them."""
