"""Recipes: modules and knobs as data. `<system>.toml` beside this file are the presets, named after their papers."""
