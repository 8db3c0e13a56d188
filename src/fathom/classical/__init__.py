"""Matchers without torch: costs, aggregation, optimisation, refinement, confidence."""
