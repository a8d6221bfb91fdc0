"""Search: which recipe pursues an objective. A bounded map of trials; Optuna proposes, in a process of its own."""
