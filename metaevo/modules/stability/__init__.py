"""Modules of the slot `stability`: see metaevo/modules/slots.py for what it maps."""
