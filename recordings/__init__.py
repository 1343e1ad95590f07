"""Recordings that last: what each shard was told, key frames and digests; writing, reading and proving them."""
