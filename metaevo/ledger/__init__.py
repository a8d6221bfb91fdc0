"""The ledger: one SQL database that says what happened, in which order, and why. Nothing else is the truth."""
