"""Estimators made of estimators, and the check of a pair before it is matched."""
