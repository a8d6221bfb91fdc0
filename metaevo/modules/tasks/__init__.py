"""Modules of the slot `tasks`: see metaevo/registry/slots.py for what it maps."""
