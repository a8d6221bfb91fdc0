"""Modules of the slot `refinement`: see metaevo/modules/slots.py for what it maps."""
