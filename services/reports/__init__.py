"""What a person asks and nothing changes: data read from the ledger or measured, one file a noun."""
