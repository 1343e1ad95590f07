"""Which chunk should move where, from what shards say they carry.  Pure: no I/O, no clock; time is an argument."""
