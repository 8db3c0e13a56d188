"""What depth is used for in space: clouds today, meshes and motion later."""
