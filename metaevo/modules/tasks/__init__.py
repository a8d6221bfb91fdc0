"""Modules of the slot `tasks`: see metaevo/modules/slots.py for what it maps."""
