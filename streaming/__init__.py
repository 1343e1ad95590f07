"""Redis: the journal of the shards, and everything that reads it."""
