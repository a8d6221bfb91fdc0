"""Modules: one plain function a file, in the folder of its slot. The file's stem is its name."""
