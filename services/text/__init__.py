"""Data as text for people: sentences, tables, numbers, progress."""
