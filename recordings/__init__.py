"""Recordings that last: what each shard was told, key frames and digests, in compressed segments; reading and proving."""
