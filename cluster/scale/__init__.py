"""How many shards there should be, and which nodes are not needed (decisions/0048-autoscaling.md)."""
