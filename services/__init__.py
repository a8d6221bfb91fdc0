"""Services: who operates evolution. Settings, the home, operations, the command line, explanations."""
