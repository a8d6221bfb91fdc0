"""Modules of the slot `update`: see metaevo/modules/slots.py for what it maps."""
