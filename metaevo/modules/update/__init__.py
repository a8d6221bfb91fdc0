"""Modules of the slot `update`: see metaevo/registry/slots.py for what it maps."""
