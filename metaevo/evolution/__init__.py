"""Evolution: a fold over cycles. A cycle is one decision; what crosses to the next is data in the ledger."""
