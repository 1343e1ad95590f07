"""The simulation: pure, deterministic, told what time it is."""
