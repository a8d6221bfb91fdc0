"""Modules that the system writes: who proposes them, and what admits them."""
