"""Migrations of the ledger's schema: one revision a version, in a process of its own that alone imports Alembic."""
