"""New reviews -> a new archive beside the last good one, or a refusal (docs/retraining.md)."""
