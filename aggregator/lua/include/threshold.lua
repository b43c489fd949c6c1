-- #include incident
-- From single incidents to a storm.

-- open_incident opens an incident for one alert: a firing one, or a resolved one whose firing came late.
local function open_incident(g, a, state)
  local revision = bump(g)
  local name, firing = object_name(g, a.slug, revision), state == 'Firing' and 1 or 0
  local e = {type = 'Alert', fingerprint = a.fingerprint, state = state, openedAt = g.now, revision = revision, confirmed = 0,
    namespace = a.namespace, lastSeen = g.now, changedAt = g.now, reopened = 0, total = 1, firing = firing, beyond = 0,
    truncated = g.truncated or nil}
  if firing == 1 then
    if redis.call('EXISTS', g.keys.open) == 0 then -- The first waits for the policy's hold, and not for the flush interval.
      set(g, {notBefore = math.max(g.now + g.limits.hold, g.lastFlush + g.limits.flushMin), common = ''})
    end
    transition(g, 'opened', name, e)
  else
    e.endedAt, e.reason = g.now, 'AllResolved'
  end
  redis.call('HSET', g.keys.objects, name .. '#', a.facts)
  store(g, name, e)
  g.opened[name] = true
  return name
end

-- crowd counts the alerts that count for the threshold: those that fire, and those that are over and newly fired within the
-- window.
local function crowd(g)
  redis.call('ZREMRANGEBYSCORE', g.keys.recent, '-inf', int(g.now - g.limits.window))
  return redis.call('ZCOUNT', g.keys.open, '(' .. int(g.absorbRevision), '+inf') + redis.call('ZCARD', g.keys.recent)
end

-- promote makes the oldest open incident the storm. Incidents that this call has opened are dropped; absorb_rest absorbs the
-- others. A storm that began at its maximum duration would end at once, so what has expired ends first.
local function promote(g)
  absorb_rest(g, MOST) -- What an earlier storm has not absorbed yet belongs to that one.
  local from = '(' .. int(g.absorbRevision)
  local name, e
  repeat
    name = redis.call('ZRANGEBYSCORE', g.keys.open, from, '+inf', 'LIMIT', 0, 1)[1]
    e = name and get_entry(g, name)
  until not (e and expire(g, name, e))
  if not e then return end
  local n = redis.call('ZCOUNT', g.keys.open, from, '+inf')
  e.type, e.total, e.firing, e.stormAt = 'Storm', n, n, n > 1 and g.now or nil
  e.generation, e.since, e.cut = g.generation, g.since, e.truncated and {['*'] = 0} or nil
  g.storm = e
  touch(g)
  set(g, {state = 'storm', object = name, quietAt = g.now + g.limits.quiet, absorbInto = name, absorbRevision = g.revision})
  store(g, name, e)
  redis.call('DEL', g.keys.recent)
  if n == 1 then return end -- With a threshold of 1 it becomes a storm with the next alert.
  local kept = {}
  for _, t in ipairs(g.out) do
    if not (t[1] == 'opened' and g.opened[t[2]]) then kept[#kept + 1] = t end
  end
  g.out = kept
  for other in pairs(g.opened) do
    if other ~= name and redis.call('ZSCORE', g.keys.open, other) then drop(g, other) end
  end
  transition(g, 'storm', name, e)
end
