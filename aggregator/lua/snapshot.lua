#!lua flags=allow-oom
-- snapshot: takes the lease of a group that is due, applies what time has done to it (quiet end, maximum duration, cooldown
-- over, retention over), and tells what has to be written: at most 20 objects. It may run out of memory's way: it adds
-- nothing that grows, and it leads to what frees memory.
--
-- KEYS 1 due index, 2 groups per policy, 3 epoch, 4-10 the group (see lib.lua)
-- ARGV 1 clock (ms, 0: Redis' own), 2 lease token, 3 lease (ms), 4 group id, 5 1 to write before the flush interval is over
-- Returns {'none'}: nothing to do (or no such group any more); {'import'}: the shard has not been imported yet; {'lost'}: the group has to be
--      imported, Redis has lost a part of it; {'waiting'}: alerts that came before the import have to be folded first;
--      {'busy', until (ms)}: leased to another, or the flush interval is not over; or
--      {'ok', now, revision, group labels, policy, settings for the projection, common labels, records, objects, transitions,
--       taken over 0|1: somebody else's lease had run out}
--      objects: {name, write|delete, entry, facts, revision, members, firing, beyond, truncated, common labels}...
--      records: {fingerprint, record, ...} of the group when they are at most 256 and a storm is among the objects
--      transitions as fold returns them

local now = clock(ARGV[1])
local due, gid = KEYS[1], ARGV[4]
local k = keys_at(4)
local OBJECTS, PAGE = 20, MOST

if not imported(due, KEYS[3]) then return {'import'} end
local g = load(k, due, gid, now)
set(g, 'lu', math.min(g.lu, now + tonumber(ARGV[3])))
if g.lost == '1' then
  save(g)
  return {'lost'}
end
if not g.pol then
  -- Lost as a whole, and Kubernetes knew nothing of it either.
  redis.call('UNLINK', k.g, k.waiting)
  redis.call('ZREM', due, gid)
  return {'none'}
end
if g.waits then return {'waiting'} end
local held = g.lu > now
if held and g.lease ~= ARGV[2] or not held and g.nf > now and ARGV[5] ~= '1' then
  if next(g.d) then save(g) end -- Times that lay too far ahead.
  return {'busy', held and g.lu or g.nf}
end

-- A lease that was given back ends at 0.
local taken = g.lu > 0 and g.lu <= now and g.lease ~= ARGV[2] and 1 or 0

local out = {}
-- quieten looks through an open storm, a page at each snapshot, for alerts that fire and of which nothing was said for the quiet
-- time: they are over. qat says when the next may be; that comes late by a sixteenth of the quiet time at most, so that a
-- large storm is not looked through for each of its alerts. It returns how many are over, and whether more has to be looked at now.
local function quieten()
  if g.st ~= 'storm' or g.f == 0 or now < g.qat then return 0, false end
  if g.qmin == 0 then
    set(g, 'qmin', now)
    set(g, 'cur', '0')
  end
  local page, over = redis.call('HSCAN', k.alerts, g.cur, 'COUNT', PAGE), 0
  set(g, 'cur', page[1])
  for i = 1, #page[2], 2 do
    local r = get_record(g, page[2][i])
    local last = r and math.max(r.at, g.imp)
    if live(g, r) and now - last >= g.p.quiet then
      over = over + 1
      r.s, r.m, r.gen, r.obj = 'c', 'm', g.gen, ''
      put_record(g, page[2][i], r)
    elseif live(g, r) then
      set(g, 'qmin', math.min(g.qmin, last))
    end
  end
  if over > 0 then
    set(g, 'f', g.f - over)
    set(g, 'srev', bump(g, now))
    set(g, 'lch', now)
    redis.call('ZADD', k.todo, 0, g.obj)
  end
  if page[1] ~= '0' then return over, g.f > 0 end
  set(g, 'qat', math.max(g.qmin + g.p.quiet, now + math.floor(g.p.quiet / 16)))
  set(g, 'qmin', 0)
  return over, false
end
local over, more = quieten()
if more then -- Nothing is written before all of it has been looked at.
  set(g, 'lu', 0)
  reschedule(g, due, gid, now)
  save(g)
  return {'busy', now}
end
-- An import, too, may find that all of a storm is over.
if g.st == 'storm' and g.f == 0 and g.tr == 0 then end_storm(g, over > 0 and 'Quiet' or 'AllResolved', now, out) end
age(g, now, out)

local absorbed, pending = absorb(g, now, OBJECTS, out)

-- Under a lease that a fold granted, what was opened after that fold waits for the next flush: of a burst only the first
-- incident is written, and by then the others are part of its storm.
local upto = g.lu > now and ARGV[5] ~= '1' and g.lrev or 0
set(g, 'lrev', 0)

-- spread makes an interval up to a quarter shorter, by the group's id: groups that opened together would be written together
-- for as long as they last.
local function spread(interval)
  local part = tonumber(string.sub(gid, 3, 6), 16) / 65536
  return math.max(g.p.flushMin, math.floor(interval * (1 - part / 4)))
end

local objects, storm, skipped = {}, false, false
local function write(name, op, e)
  e.a = 1
  put_entry(g, name, e)
  local own = e.t == 'S' and name == g.obj and e.s == 'open'
  if e.t == 'S' then storm = true end
  if own then
    e.rev, e.lc, e.n, e.f, e.x, e.tr, e.com, e.gen, e.since = g.srev, g.lch, g.n, g.f, g.x, g.tr, g.com, g.gen, g.since
  end
  objects[#objects + 1] = {name, op, cjson.encode(e), redis.call('HGET', k.objects, name .. '#') or '', int(e.rev),
    e.n or 1, e.f or (e.s == 'open' and 1 or 0), e.x or 0, e.tr or 0, e.com or ''}
end

-- attention is what wants some by now, the objects that have to be written first.
local function attention() return redis.call('ZRANGEBYSCORE', k.todo, '-inf', int(now), 'LIMIT', 0, OBJECTS) end

for _, name in ipairs(attention()) do -- Before the rest, so that what follows an incident is written with its end.
  local e = get_entry(g, name)
  if e and e.s == 'open' and e.t == 'A' then expire(g, name, e, now, out) end
end
for _, name in ipairs(attention()) do
  local e = get_entry(g, name)
  if not e then
    drop_object(g, name)
  else
    local rev = e.t == 'S' and name == g.obj and g.srev or e.rev
    if rev > e.frev then
      if upto == 0 or e.a or e.t == 'S' or e.s ~= 'open' or e.rev <= upto then write(name, 'write', e) else skipped = true end
    elseif e.s ~= 'open' and now >= wants(g, e) then
      write(name, 'delete', e)
    else
      redis.call('ZADD', k.todo, int(wants(g, e)), name)
    end
  end
end

local records = {}
if storm and redis.call('HLEN', k.alerts) <= PAGE then records = redis.call('HGETALL', k.alerts) end

-- Tombstones that have served their time go, page by page; when there are too many, younger ones go too. A storm that is
-- still to be written for the last time keeps its records until then.
local function purge()
  local size = redis.call('HLEN', k.alerts)
  if storm or g.qmin > 0 or size <= g.n then return end
  local page = redis.call('HSCAN', k.alerts, g.cur or '0', 'COUNT', PAGE)
  set(g, 'cur', page[1])
  for i = 1, #page[2], 2 do
    local r = get_record(g, page[2][i])
    local age = r and now - math.max(r.at, g.imp) or 0
    if not member(g, r) and (age >= math.max(g.p.quiet, g.p.cooldown) or size > 2 * g.p.maxAlerts and age >= g.p.cooldown) then
      redis.call('HDEL', k.alerts, page[2][i])
    end
  end
end
purge()

-- With nothing open all records are tombstones.
if g.st == 'calm' and redis.call('ZCARD', k.open) == 0 and not storm and now >= g.heard + g.p.quiet then
  redis.call('UNLINK', k.alerts, k.recent)
  if redis.call('ZCARD', k.todo) == 0 then
    count(g, 0, 0, 0)
    place(g, false)
    redis.call('UNLINK', k.g, k.objects, k.open, k.todo)
    redis.call('ZREM', due, gid)
    if g.ovf == '0' and redis.call('HINCRBY', KEYS[2], g.pol, -1) <= 0 then redis.call('HDEL', KEYS[2], g.pol) end
    return {'none'}
  end
end

if #objects == 0 then
  set(g, 'lu', 0)
  if skipped then set(g, 'nf', now + g.p.flushMin) end
  reschedule(g, due, gid, now)
  save(g)
  if skipped then return {'busy', g.nf} end
  if #out == 0 then return {'none'} end
else
  -- The interval doubles while flushes follow each other closely, and falls back after a pause.
  if now - g.lf <= 2 * g.iv then
    set(g, 'iv', math.min(2 * g.iv, g.p.flushMax))
  else
    set(g, 'iv', g.p.flushMin)
  end
  set(g, 'lf', now)
  set(g, 'nf', (#objects == OBJECTS or pending > absorbed) and now or now + spread(g.iv))
  set(g, 'lease', ARGV[2])
  set(g, 'lu', now + tonumber(ARGV[3]))
  reschedule(g, due, gid, now)
  save(g)
end
return {'ok', now, g.rev, g.lab, g.pol, g.opt, g.com or '', records, objects, out, taken}
