"""Budgets of a bucket: other limits than jobs per time, what jobs cost, what was spent."""
