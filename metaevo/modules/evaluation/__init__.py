"""Modules of the slot `evaluation`: see metaevo/registry/slots.py for what it maps."""
