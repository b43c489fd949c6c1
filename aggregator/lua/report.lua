#!lua flags=allow-oom
-- #include outage
-- report: tells a group of an outage policy about incidents. Of two reports about one incident the one with the later
-- revision counts, so neither order nor repetition matters; of its starts the earliest. It may run when Redis is out of
-- memory, since without it what was folded is not written.
--
-- KEYS  as outage.lua says
-- ARGV  1 clock (ms, 0: Redis' own), 2 group id, 3 policy, 4 group labels (JSON), 5 how many incidents at most, then
--       for each incident: name, revision, start (ms), its facts (JSON, '': it is no longer a part of the group), 1
--       when it does not know of which outage it is a part, although it may have been told
-- Returns {1 when something was new, due (ms)}
local now, id, most = clock(ARGV[1]), ARGV[2], tonumber(ARGV[5])
lost(id)
-- Without a group there is nothing that an incident could leave.
if redis.call('EXISTS', hash) == 0 and ARGV[9] == '' then return {0, 0} end
make(ARGV[3], ARGV[4])
local new = false
for i = 6, #ARGV, 5 do
  local name, revision, start, facts = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]), ARGV[i + 3]
  local known = redis.call('HGET', parts, name)
  local last, first = string.match(known or '', '^(%d+)\31(%d+)\31')
  if not known and facts ~= '' and redis.call('HLEN', parts) > most then
    redis.call('HSET', hash, 'truncated', '1')
    new = true
  elseif not known and facts ~= '' or known and revision > tonumber(last) then
    if first and tonumber(first) > 0 then start = math.min(start, tonumber(first)) end
    redis.call('HSET', parts, name, int(revision) .. '\31' .. int(start) .. '\31' .. facts)
    new = true
  end
  if known and ARGV[i + 4] == '1' then
    note('untold:' .. name, '')
    new = true
  end
end
if not new then return {0, 0} end
return {1, wake(now, id)}
