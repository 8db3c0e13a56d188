"""Published weights: what is known of them, getting their files, and turning them into ours."""
