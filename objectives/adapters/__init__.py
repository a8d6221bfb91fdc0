"""Adapters: other people's environments and data, as programs of our contract."""
