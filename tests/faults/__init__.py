"""What the service must survive: faults made on purpose, under a load whose right answers are known."""
