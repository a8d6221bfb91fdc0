"""What the modules that train share: loading weights, rows for TRL, one guarded run. Torch lives here."""
