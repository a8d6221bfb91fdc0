"""Modules of the slot `consolidation`: see metaevo/registry/slots.py for what it maps."""
