#!lua flags=allow-oom
-- #include server
-- lease: the right to import a shard from Kubernetes, and the marks of a shard that has been imported.
--
-- KEYS  1 due index, 2 epoch, 3 lease, 4 server
-- ARGV  1 begin, extend, finish or abort, 2 token, 3 lease (ms), 4 the epoch with which the import began, 5 the one
--       with which it ends
-- Returns 1 when the caller has the lease, or had it until this finish or abort; 0 when it has not, or when the epoch
--       is another.
local due, epoch, lease, under = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local op, length, began, ends = ARGV[1], ARGV[3], ARGV[4], ARGV[5]
local token = ARGV[2] .. ' ' .. run_id() -- What was imported before a failover may be gone after it.

if op ~= 'abort' and epoch_of(due, epoch, under) ~= began then return 0 end
if op == 'begin' then return redis.call('SET', lease, token, 'NX', 'PX', length) and 1 or 0 end
if redis.call('GET', lease) ~= token then return 0 end
if op == 'extend' then return redis.call('PEXPIRE', lease, length) end
redis.call('DEL', lease)
if op == 'finish' then
  redis.call('ZADD', due, '+inf', '-')
  redis.call('SET', epoch, ends)
  redis.call('SET', under, run_id())
end
return 1
