"""Modules of the slot `refinement`: see metaevo/registry/slots.py for what it maps."""
