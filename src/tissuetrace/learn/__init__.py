"""Splits, class imbalance, losses and the training loop."""
