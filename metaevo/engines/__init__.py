"""Engines: the processes that hold models (transformers, later vLLM) and the pool that grades. Spoken to in frames."""
