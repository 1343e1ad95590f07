"""The simulation: pure, synchronous and deterministic; knows no clock, network, database or process."""
