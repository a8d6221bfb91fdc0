"""Modules of the slot `feedback`: see metaevo/modules/slots.py for what it maps."""
