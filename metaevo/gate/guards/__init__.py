"""Guards: each may veto a promotion for one reason of its own, with numbers. Servable artifact and cost per answer."""
