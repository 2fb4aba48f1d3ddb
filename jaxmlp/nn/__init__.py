"""The mathematics: activations, initializers, the dense block, costs, networks and the objective."""
