"""What a home tells of itself: reports read the ledger and return records. Nothing here writes."""
