"""Benchmarks: what an input costs, by backend, by size of the catalogue, with and without AVX2."""
