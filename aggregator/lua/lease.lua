#!lua flags=allow-oom
-- lease: the right to import a shard from Kubernetes, and the marks that say that it has been imported.
--
-- KEYS 1 due index, 2 epoch, 3 lease, 4 server
-- ARGV 1 begin, extend, finish or abort, 2 token, 3 lease (ms), 4 the epoch that the import began with ('': none, 'again':
--      one under another server), 5 the epoch that it ends with
-- Returns 1 when the caller has the lease, or had it until this finish or abort; 0 when another has it, nobody any more, or
--      the epoch is another one.

local due, epoch, lease, under = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
-- With the server's run id: what was imported before a failover may be gone after it.
local op, token = ARGV[1], ARGV[2] .. ' ' .. server()
if epoch_of(due, epoch, under) ~= ARGV[4] then return 0 end
if op == 'begin' then
  return redis.call('SET', lease, token, 'NX', 'PX', ARGV[3]) and 1 or 0
end
if redis.call('GET', lease) ~= token then return 0 end
if op == 'extend' then
  redis.call('PEXPIRE', lease, ARGV[3])
else
  redis.call('DEL', lease)
end
if op == 'finish' then
  -- The mark in the due index: without it the index has been lost, and the shard is imported again.
  redis.call('ZADD', due, '+inf', '-')
  redis.call('SET', epoch, ARGV[5])
  redis.call('SET', under, server())
end
return 1
