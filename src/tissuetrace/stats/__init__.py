"""Intervals, paired tests, calibration, agreement."""
