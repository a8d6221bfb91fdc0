"""Modules of the slot `stability`: see metaevo/registry/slots.py for what it maps."""
