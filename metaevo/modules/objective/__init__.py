"""Modules of the slot `objective`: see metaevo/registry/slots.py for what it maps."""
