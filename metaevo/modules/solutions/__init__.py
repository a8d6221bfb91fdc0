"""Modules of the slot `solutions`: see metaevo/modules/slots.py for what it maps."""
