"""Modules of the slot `solutions`: see metaevo/registry/slots.py for what it maps."""
