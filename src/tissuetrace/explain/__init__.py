"""Which inputs a model relies on."""
