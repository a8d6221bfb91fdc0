"""Modules of the slot `evaluation`: see metaevo/modules/slots.py for what it maps."""
