"""The ELF closure: what programs, libraries and scripts of a sysroot need beside them."""
