"""Looking back: pages of a chunk's past, over HTTP and played as a stream."""
