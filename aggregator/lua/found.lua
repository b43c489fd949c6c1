#!lua flags=allow-oom
-- #include outage
-- found: notes an outage that was found in Kubernetes. take returns the note, and save forgets it.
--
-- KEYS  as outage.lua says
-- ARGV  1 clock (ms, 0: Redis' own), 2 group id, 3 policy, 4 group labels (JSON), 5 name of the outage, 6 the outage as
--       Kubernetes shows it (JSON), then its incidents, each with name and part as take returns it, which count only
--       where none is known
-- Returns {1 when Redis did not know the group, due (ms)}
local now, id = clock(ARGV[1]), ARGV[2]
lost(id)
local new = make(ARGV[3], ARGV[4])
note('found:' .. ARGV[5], ARGV[6])
for i = 7, #ARGV, 2 do
  if not redis.call('HGET', parts, ARGV[i]) then redis.call('HSET', parts, ARGV[i], ARGV[i + 1]) end
end
return {new and 1 or 0, wake(now, id)}
