"""A sysroot's kernels: their kmods, the firmware that these ask for, early microcode."""
