#!lua flags=allow-oom
-- #include incident
-- snapshot: takes the lease of a group that is due, applies what time has done to it (quiet alerts, maximum duration,
-- cooldown and retention over), and returns what has to be written, at most 20 incidents. It may run when Redis is out
-- of memory: it adds nothing that grows, and leads to what frees memory.
--
-- KEYS  as group.lua says
-- ARGV  1 clock (ms, 0: Redis' own), 2 lease token, 3 lease (ms), 4 group id, 5 1 to write before the flush interval
--       is over
-- Returns {'none'}: nothing to write; {'import'}: the shard has to be imported; {'waiting'}: alerts that waited for
--       that have to be folded first; {'busy', until (ms)}: another has the lease, or the flush interval is not over;
--       or {'ok', now, labels (JSON), policy, settings (JSON), records, incidents, transitions as fold returns them, 1
--       when another's lease had run out}
--       incidents: {name, write|delete, entry (JSON), facts (JSON)}...
--       records: {identity, record, ...} of the group when there are at most 256 and a storm is among the incidents
local now, token, lease, id, at_once = clock(ARGV[1]), ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5] == '1'
local INCIDENTS, PAGE = 20, MOST

local g = load(group_keys(4), id, now)
if not imported(due, epoch) then return {'import'} end
if not g.policy then -- Lost as a whole, and Kubernetes knows nothing of it either.
  redis.call('UNLINK', g.keys.hash, g.keys.waiting)
  redis.call('ZREM', due, id)
  return {'none'}
end
if g.waits then return {'waiting'} end
set(g, {leaseUntil = math.min(g.leaseUntil, now + lease)})
local held = g.leaseUntil > now
if held and g.lease ~= token or not held and g.notBefore > now and not at_once then
  if next(g.changed) then commit(g) end
  return {'busy', held and g.leaseUntil or g.notBefore}
end
local taken = g.leaseUntil > 0 and not held and g.lease ~= token -- A lease that was given back ends at 0.

-- scan_records reads a page of the group's records, from where the last page ended.
local function scan_records()
  local page = redis.call('HSCAN', g.keys.alerts, g.cursor or '0', 'COUNT', PAGE)
  set(g, {cursor = page[1]})
  return page[2], page[1] == '0'
end

-- end_quiet ends the alerts of a storm that fire and were not reported for the policy's quiet time, a page a snapshot.
-- quietAt is when there may be some: late by at most a sixteenth of that time, so that a large storm is not read for
-- each of its alerts. It returns how many it ended, and whether more have to be looked at now.
local function end_quiet()
  if g.state ~= 'storm' or g.storm.firing == 0 or now < g.quietAt then return 0, false end
  if g.quietOldest == 0 then set(g, {quietOldest = now, cursor = '0'}) end
  local page, last = scan_records()
  local n = 0
  for i = 1, #page, 2 do
    local r = get_record(g, page[i])
    local at = r and math.max(r.at, g.importedAt)
    if live(g, r) and now - at >= g.limits.quiet then
      n = n + 1
      r.status, r.mark, r.generation, r.object = 'c', 'm', g.generation, ''
      put_record(g, page[i], r)
    elseif live(g, r) then
      set(g, {quietOldest = math.min(g.quietOldest, at)})
    end
  end
  if n > 0 then
    g.storm.firing = g.storm.firing - n
    touch(g)
  end
  if not last then return n, g.storm.firing > 0 end
  local at = math.max(g.quietOldest + g.limits.quiet, now + math.floor(g.limits.quiet / 16))
  set(g, {quietAt = at, quietOldest = 0})
  return n, false
end
local quiet, more = end_quiet()
if more then -- Nothing is written before all of it has been looked at.
  set(g, {leaseUntil = 0})
  commit(g)
  return {'busy', now}
end
-- An import, too, may find that all alerts of a storm are over.
if g.state == 'storm' and g.storm.firing == 0 and not g.storm.truncated then
  end_storm(g, quiet > 0 and 'Quiet' or 'AllResolved')
end
age(g)
if g.touched then store(g, g.object, g.storm) end
g.touched = nil
local absorbed, pending = absorb_rest(g, INCIDENTS)

-- Under a lease that a fold granted, what was opened after that fold waits for the next flush: of a burst only the
-- first incident is written, and at the next flush the others are part of its storm.
local upto = held and not at_once and g.leaseRevision or 0
set(g, {leaseRevision = 0})

-- spread makes an interval up to a quarter shorter, by the group's id, so that groups that opened together are not
-- written together for as long as they last.
local function spread(interval)
  return math.max(g.limits.flushMin, math.floor(interval * (1 - tonumber(string.sub(id, 3, 6), 16) / 262144)))
end

local incidents, storm, skipped = {}, false, false
local function write(name, op, e)
  e.told = true
  put_entry(g, name, e)
  if name == g.object then g.storm, e.common = e, g.common end
  storm = storm or e.type == 'Storm'
  incidents[#incidents + 1] = {name, op, cjson.encode(e), redis.call('HGET', g.keys.objects, name .. '#') or ''}
end

-- attention is what wants some now, what has to be written first.
local function attention() return redis.call('ZRANGEBYSCORE', g.keys.todo, '-inf', int(now), 'LIMIT', 0, INCIDENTS) end

for _, name in ipairs(attention()) do -- Before the rest, so that a successor is written with the end.
  local e = get_entry(g, name)
  if e and e.state == 'Firing' and e.type == 'Alert' then expire(g, name, e) end
end
for _, name in ipairs(attention()) do
  local e = get_entry(g, name)
  if not e then
    drop(g, name)
  elseif e.revision > e.confirmed then
    local ready = upto == 0 or e.told or e.type == 'Storm' or e.state ~= 'Firing' or e.revision <= upto
    if ready then write(name, 'write', e) else skipped = true end
  elseif e.state ~= 'Firing' and now >= deadline(g, e) then
    write(name, 'delete', e)
  else
    store(g, name, e)
  end
end

local records = {}
if storm and redis.call('HLEN', g.keys.alerts) <= PAGE then records = redis.call('HGETALL', g.keys.alerts) end

-- purge drops tombstones that have served their time, a page a snapshot, and younger ones when there are too many. A
-- storm that has yet to be written for the last time keeps its records until then.
local function purge()
  local size = redis.call('HLEN', g.keys.alerts)
  if storm or g.quietOldest > 0 or size <= (g.storm and g.storm.total or 0) then return end
  local page = scan_records()
  local quiet, cooldown = math.max(g.limits.quiet, g.limits.cooldown), g.limits.cooldown
  for i = 1, #page, 2 do
    local r = get_record(g, page[i])
    local silent = r and now - math.max(r.at, g.importedAt) or 0
    local done = silent >= quiet or size > 2 * g.limits.maxAlerts and silent >= cooldown
    if not member(g, r) and done then redis.call('HDEL', g.keys.alerts, page[i]) end
  end
end
purge()

-- With nothing open all records are tombstones.
local over = now >= g.lastSeen + g.limits.quiet
if g.state == 'calm' and redis.call('EXISTS', g.keys.open) == 0 and not storm and over then
  redis.call('UNLINK', g.keys.alerts, g.keys.recent)
  if redis.call('EXISTS', g.keys.todo) == 0 then
    account(g, 0, 0, 0, '')
    redis.call('UNLINK', g.keys.hash, g.keys.objects, g.keys.open, g.keys.todo)
    redis.call('ZREM', due, id)
    if g.overflow == '0' and redis.call('HINCRBY', groups, g.policy, -1) <= 0 then
      redis.call('HDEL', groups, g.policy)
    end
    return {'none'}
  end
end

if #incidents == 0 then
  set(g, {leaseUntil = 0, notBefore = skipped and now + g.limits.flushMin or g.notBefore})
  commit(g)
  if skipped then return {'busy', g.notBefore} end
  if #g.out == 0 then return {'none'} end
else
  -- The interval doubles while flushes follow each other closely, and falls back after a pause.
  local close = now - g.lastFlush <= 2 * g.interval
  local interval = close and math.min(2 * g.interval, g.limits.flushMax) or g.limits.flushMin
  local all = #incidents < INCIDENTS and pending <= absorbed
  set(g, {interval = interval, lastFlush = now, notBefore = all and now + spread(interval) or now, lease = token,
    leaseUntil = now + lease})
  commit(g)
end
return {'ok', now, g.labels, g.policy, g.settings, records, incidents, g.out, taken and 1 or 0}
