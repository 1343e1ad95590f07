"""How large a deployment has to be: what was measured of single parts, put together for any number of agents."""
