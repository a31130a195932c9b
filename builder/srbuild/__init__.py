"""srbuild: build initrds that boot machines from one shared root, into a container."""

__all__: list[str] = []
