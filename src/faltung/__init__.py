"""faltung: convolution and every other sliding window on NumPy arrays."""
