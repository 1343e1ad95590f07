"""A command from its request to its ack: challenge, signature, proof of work, difficulty, cooldown."""
