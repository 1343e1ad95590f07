"""One shard at run time: clock, journal commits, crossings, neighbours, presence.  No Ray in here."""
