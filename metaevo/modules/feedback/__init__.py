"""Modules of the slot `feedback`: see metaevo/registry/slots.py for what it maps."""
