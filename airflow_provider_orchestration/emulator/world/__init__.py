"""What a stack holds and does: workflows, instances and their life, the ledger, triggers. Knows no HTTP."""
