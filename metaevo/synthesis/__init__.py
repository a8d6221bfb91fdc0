"""Synthesis: kernels the machine writes. A grammar and language models propose them, an archive keeps what differs."""
