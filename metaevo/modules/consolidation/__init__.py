"""Modules of the slot `consolidation`: see metaevo/modules/slots.py for what it maps."""
