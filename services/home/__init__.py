"""A home: where it is, how it begins, what it needs, and how it is opened for work."""
