# Print the digest of all that stands on /dev/vda, whoever it is served to meanwhile.
blockdev --flushbufs /dev/vda
sha256sum </dev/vda
