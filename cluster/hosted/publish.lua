-- Says something on a control channel.  Returns how many gateways heard it.
-- args: channel, message
return redis.call('PUBLISH', CHANNELS .. channel, message)
