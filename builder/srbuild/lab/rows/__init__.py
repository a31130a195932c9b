"""Rows of the lab: block devices, file systems, and what may happen to nodes that share both."""
