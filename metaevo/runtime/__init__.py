"""One line of steps: what a module may reach, how a step is run and journalled, how a generation answers."""
