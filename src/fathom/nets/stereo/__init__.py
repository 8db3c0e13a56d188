"""Networks that match pairs."""
