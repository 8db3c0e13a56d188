"""Pure functions on the nouns; numpy and OpenCV only."""
