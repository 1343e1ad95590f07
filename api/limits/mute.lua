-- Mutes an agent in an operator's name; this takes its strikes, as a mute that they bring about does.
-- args: id, duration_ms
-- include: api/limits/note_moderated.lua
note_moderated(id)
redis.call('DEL', STRIKES .. id)
redis.call('SET', MUTE .. id, 'operator', 'PX', duration_ms)
return 1
