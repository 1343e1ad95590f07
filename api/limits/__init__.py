"""What keeps one caller from harming others: rate limits, banned words, strikes."""
