"""What operators do to a world: backup, restore, rebuild, fsck, doctor."""
