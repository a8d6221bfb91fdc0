"""What operations return: plain data, read from the ledger or measured, one file a noun."""
