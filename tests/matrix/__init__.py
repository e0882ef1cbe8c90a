"""Every tuning method with every head on every architecture: too many for the default suite; `make matrix` has them."""
