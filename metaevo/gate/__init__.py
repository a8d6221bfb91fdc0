"""The gate: outside of evolution. It decides with fresh items, a ledger of errors spent, and numbers for every word."""
