"""The jobs that people run, as plain functions."""
