"""Nets that look at one image; one file for each paper."""
