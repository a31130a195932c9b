"""`make bench`: srbuild beside other builders of initrds, in one run, on one sysroot.

What it measures and how is told in docs/benchmarks.md.
"""
