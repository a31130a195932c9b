"""QEMU nodes, storage servers and scenarios."""
