"""Emptying nodes of the Ray cluster, and keeping our actors off them (decisions/0047-draining-and-upgrading.md)."""
