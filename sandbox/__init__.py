"""Where unread code runs. Imports nothing of ours; `docker` and `pydantic_monty` only where they are used."""
