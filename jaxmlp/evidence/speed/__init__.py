"""How fast training is on this machine: its steps beside bare matrix products, its backward pass beside autodiff's."""
