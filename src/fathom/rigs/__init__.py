"""Calibrating cameras: boards, bundles, matches, and what a rig has drifted by."""
