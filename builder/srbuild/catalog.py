"""Boot modules: what a module.toml declares, and where modules are found."""
