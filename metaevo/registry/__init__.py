"""The registry: what a module is, where modules are found, the laws they keep, and those the system wrote."""
