"""Whole intentions of an agent, made of many commands: go somewhere, explore, dig, follow."""
