"""What a person orders: run, ask, measure, export, quarantine, build an image."""
