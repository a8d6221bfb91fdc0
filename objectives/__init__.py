"""What "better" means: abilities, environments, measuring, goals, objectives. Imports nothing of ours."""
