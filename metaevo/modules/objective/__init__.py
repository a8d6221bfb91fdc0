"""Modules of the slot `objective`: see metaevo/modules/slots.py for what it maps."""
