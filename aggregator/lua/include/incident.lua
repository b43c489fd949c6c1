-- #include group
-- #include record
-- The life of an incident. Its entry is what Kubernetes should show; docs/design.md lists the fields.

-- MOST is how many alerts or incidents one call works on.
local MOST = 256

-- LATE is how long (ms) after its start a sender may report a firing: Alertmanager's default group_interval.
local LATE = 300000

-- deadline is when an incident that has been written wants attention: an open one for its end, an ended one for its
-- deletion.
local function deadline(g, e)
  if e.state ~= 'Firing' then return e.endedAt + g.limits.retention end
  local quiet = (e.type == 'Storm' and g.lastSeen or e.lastSeen) + g.limits.quiet
  if e.type == 'Storm' and e.firing > 0 then quiet = g.quietAt end
  return math.min(quiet, e.openedAt + g.limits.maxDuration)
end

-- overdue returns the reason for which an open incident has to end now, or nil. The alerts of a storm become quiet one
-- by one; a storm of which none fires ends when its group is quiet.
local function overdue(g, e)
  local silent = g.now >= (e.type == 'Storm' and g.lastSeen or e.lastSeen) + g.limits.quiet
  if silent and (e.type == 'Alert' or e.firing == 0) then return 'Quiet' end
  return g.now >= e.openedAt + g.limits.maxDuration and 'MaxDuration' or nil
end

local function put_entry(g, name, e) redis.call('HSET', g.keys.objects, name, cjson.encode(e)) end

-- store writes an entry and the indexes that follow from it.
local function store(g, name, e)
  put_entry(g, name, e)
  local at = e.revision > e.confirmed and (e.type == 'Storm' and 0 or 1) or deadline(g, e)
  redis.call('ZADD', g.keys.todo, int(at), name)
  if e.type == 'Alert' and e.state == 'Firing' then
    redis.call('ZADD', g.keys.open, 'NX', int(math.max(e.revision, g.absorbRevision + 1)), name)
  else
    redis.call('ZREM', g.keys.open, name)
  end
end

local function drop(g, name)
  redis.call('HDEL', g.keys.objects, name, name .. '#')
  redis.call('ZREM', g.keys.todo, name)
  redis.call('ZREM', g.keys.open, name)
end

-- touch gives the storm's entry a new revision, one for all changes of a call. commit stores it.
local function touch(g)
  if not g.touched then bump(g) end
  g.touched, g.storm.revision, g.storm.changedAt, g.storm.imported = true, g.revision, g.now, nil
end

local function transition(g, kind, name, e)
  g.out[#g.out + 1] = {kind, name, e.namespace, int(e.revision), e.total + e.beyond, e.firing, e.reason or '', e.type,
    e.told and 1 or 0}
end

-- object_name makes the name of an object, once: 50 bits of a hash of group and revision, as ten digits of base 32.
local function object_name(g, slug, revision)
  local n, s = tonumber(string.sub(redis.sha1hex(g.id .. ':' .. int(revision)), 1, 13), 16), slug .. '-'
  for _ = 1, 10 do
    s = s .. string.sub('abcdefghijklmnopqrstuvwxyz234567', n % 32 + 1, n % 32 + 1)
    n = math.floor(n / 32)
  end
  return s
end

local function resolve(g, name, e, reason)
  e.state, e.reason, e.endedAt, e.imported = 'Resolved', reason, g.now, nil
  e.changedAt, e.revision = g.now, bump(g)
  store(g, name, e)
  transition(g, 'resolved', name, e)
end

-- absorb makes an incident a part of another.
local function absorb(g, name, e, by)
  e.state, e.reason, e.absorbedBy, e.endedAt = 'Absorbed', nil, by, e.endedAt or g.now
  e.changedAt, e.revision, e.imported = g.now, bump(g), nil
  store(g, name, e)
  transition(g, 'absorbed', name, e)
end

-- absorb_rest absorbs what was open when the last storm began: at most MOST of it, and at most as many incidents as
-- given. Those that no pod was told to write are dropped instead. It returns how many it absorbed, and how many it
-- looked at.
local function absorb_rest(g, most)
  local n, pending = 0, redis.call('ZRANGEBYSCORE', g.keys.open, '-inf', int(g.absorbRevision), 'LIMIT', 0, MOST)
  for _, name in ipairs(pending) do
    local e = get_entry(g, name)
    if not e or not e.told then
      drop(g, name)
    elseif n < most then
      n = n + 1
      absorb(g, name, e, g.absorbInto)
    end
  end
  return n, #pending
end

-- successor makes the incident that goes on in place of one that has ended by MaxDuration.
local function successor(g, name, e)
  local revision = bump(g)
  local next = object_name(g, string.sub(name, 1, -12), revision)
  redis.call('HSET', g.keys.objects, next .. '#', redis.call('HGET', g.keys.objects, name .. '#') or '{}')
  return next, {type = e.type, fingerprint = e.type == 'Alert' and e.fingerprint or nil, state = 'Firing',
    openedAt = g.now, revision = revision, confirmed = 0, namespace = e.namespace, lastSeen = e.lastSeen,
    changedAt = g.now, reopened = 0, total = e.firing, firing = e.firing, beyond = 0,
    truncated = e.truncated, cut = e.cut}
end

-- hasten lets a first opening or a last end wait no longer than flushMin.
local function hasten(g)
  set(g, {notBefore = math.min(g.notBefore, math.max(g.now, g.lastFlush + g.limits.flushMin))})
end

-- close forgets the storm. With a new generation its records are no longer members.
local function close(g)
  if g.touched then store(g, g.object, g.storm) end
  g.storm, g.touched = nil, nil
  set(g, {state = 'calm', generation = g.generation + 1, since = g.generation + 1, object = '', common = ''})
end

-- end_storm resolves the storm. After AllResolved it may be reopened within the cooldown. After MaxDuration another
-- incident goes on with what fires: firing members of earlier generations stay members.
local function end_storm(g, reason)
  local name, e = g.object, g.storm
  e.common, g.touched = g.common, nil
  resolve(g, name, e, reason)
  hasten(g)
  if reason == 'AllResolved' then return set(g, {state = 'cool'}) end
  if reason ~= 'MaxDuration' or e.firing == 0 then return close(g) end
  absorb_rest(g, MOST) -- What it has not absorbed yet belongs to it.
  local next, new = successor(g, name, e)
  set(g, {generation = g.generation + 1, object = next, absorbInto = next})
  new.generation, new.since, new.stormAt, g.storm = g.generation, g.since, new.total > 1 and g.now or nil, new
  store(g, next, new)
  transition(g, new.stormAt and 'storm' or 'opened', next, new)
end

-- expire ends an open incident of a single alert when its time is up. After MaxDuration a firing alert gets another
-- incident at once. It returns whether the incident has ended.
local function expire(g, name, e)
  local reason = overdue(g, e)
  if not reason then return false end
  resolve(g, name, e, reason)
  local r = get_record(g, e.fingerprint)
  if not (r and r.status == 'f' and r.object == name) then return true end
  if reason == 'MaxDuration' then
    local next, new = successor(g, name, e)
    store(g, next, new)
    transition(g, 'opened', next, new)
    r.object = next
  else
    r.status = 'c'
  end
  put_record(g, e.fingerprint, r)
  return true
end

-- reopens tells whether a firing alert reopens an incident that has ended: it began within the cooldown, or is reported
-- then.
local function reopens(g, a, ended)
  local last = ended + g.limits.cooldown
  return g.now < last or a.starts < last and g.now < last + LATE
end

-- age applies what time alone does to the storm.
local function age(g)
  local reason = g.state == 'storm' and overdue(g, g.storm)
  if reason then end_storm(g, reason) end
  if g.state == 'cool' and g.now >= g.storm.endedAt + g.limits.cooldown + LATE then close(g) end
end

-- next_due is when the group wants attention next. Only writing waits for the flush interval.
local function next_due(g, open)
  local first, at = redis.call('ZRANGE', g.keys.todo, 0, 0, 'WITHSCORES'), math.huge
  if #first > 0 then at = tonumber(first[2]) end
  if at <= 1 then at = g.notBefore end
  local absorbing = open > 0 and redis.call('ZCOUNT', g.keys.open, '-inf', int(g.absorbRevision)) > 0
  if absorbing then at = math.min(at, g.notBefore) end
  if g.state ~= 'storm' and open == 0 and (#first == 0 or redis.call('EXISTS', g.keys.alerts) == 1) then
    local cool = g.state == 'cool' and g.storm.endedAt + g.limits.cooldown + LATE or 0
    at = math.min(at, math.max(g.lastSeen + g.limits.quiet, cool)) -- Tombstones have served their time.
  end
  if g.waits then at = 0 end
  return g.leaseUntil > g.now and math.max(at, g.leaseUntil) or at
end

-- commit writes what the call has changed, the shard's numbers, and when the group is due, which it returns.
local function commit(g)
  if g.touched then store(g, g.object, g.storm) end
  g.touched = nil
  local open, storm = redis.call('ZCARD', g.keys.open), g.state == 'storm'
  account(g, open, storm and 1 or 0, g.overflow == '1' and 1 or 0, (open > 0 or storm) and g.limits.kind or '')
  set(g, {keyCount = int(key_count(g.keys))})
  local args = {}
  for field in pairs(g.changed) do
    local v = g[field]
    args[#args + 1] = field
    args[#args + 1] = type(v) == 'number' and int(v) or v
  end
  if #args > 0 then redis.call('HSET', g.keys.hash, unpack(args)) end
  g.changed = {}
  local at = next_due(g, open)
  redis.call('ZADD', due, int(at), g.id)
  return at
end
