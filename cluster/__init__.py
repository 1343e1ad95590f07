"""What runs the world on Ray: shards, gateways, coordinator, archiver, and the routing between them."""
