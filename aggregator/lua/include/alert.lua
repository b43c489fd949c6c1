-- #include source
-- #include threshold
-- What one report about an alert means for its group: apply joins it with the alert's record.

local function reopen(g, e)
  e.state, e.reason, e.endedAt, e.common, e.reopened = 'Firing', nil, nil, nil, e.reopened + 1
  e.reopenedAt, e.changedAt, e.lastSeen, e.imported = g.now, g.now, g.now, nil
end

local function record(g, a, r, status, mark, object)
  r = r or {}
  r.status, r.mark, r.at, r.starts, r.rest = status, mark, a.at, a.starts, a.rest
  r.generation, r.object = g.generation, object
  put_sources(r, a.known)
  put_record(g, a.fingerprint, r)
end

-- ended_lately returns the incident of a single alert that is over and that this alert would reopen.
local function ended_lately(g, a, r)
  local e = r.mark == '-' and r.object ~= '' and get_entry(g, r.object)
  local over = e and e.type == 'Alert' and e.state == 'Resolved' and e.reason == 'AllResolved'
  return over and reopens(g, a, e.endedAt) and e or nil
end

-- join adds an alert to the storm, firing or resolved. Beyond maxAlerts it is only counted.
local function join(g, a, r, status)
  local e, most = g.storm, g.limits.maxAlerts
  if not member(g, r) then
    if e.total >= most or not r and redis.call('HLEN', g.keys.alerts) >= 3 * most then
      g.beyond[a.fingerprint] = true
      local n = 0
      for _ in pairs(g.beyond) do n = n + 1 end
      if not e.truncated or n > e.beyond then
        e.truncated, e.beyond = true, math.max(e.beyond, n)
        touch(g)
      end
      return
    end
    e.total = e.total + 1
    local own = r and ended_lately(g, a, r) -- In a calm group the alert would reopen this one.
    if own and own.told then absorb(g, r.object, own, g.object) elseif own then drop(g, r.object) end
  end
  if status == 'f' then e.firing = e.firing + 1 end
  record(g, a, r, status, 'm', '')
  touch(g)
  if e.total > 1 and not e.stormAt then -- The second alert of a group with a threshold of 1.
    e.stormAt = g.now
    if g.state == 'storm' then transition(g, 'storm', g.object, e) end
  end
end

local function fires(g, a, r)
  g.newly = g.newly + 1
  if g.state == 'cool' and not reopens(g, a, g.storm.endedAt) then close(g) end
  if g.state == 'cool' then
    reopen(g, g.storm)
    touch(g)
    set(g, {state = 'storm'})
    join(g, a, r, 'f')
    return transition(g, 'reopened', g.object, g.storm)
  end
  if g.state == 'storm' then return join(g, a, r, 'f') end

  local e, name = r and r.generation == g.generation and ended_lately(g, a, r), nil
  if e then
    name = r.object
    reopen(g, e)
    e.firing, e.revision = 1, bump(g)
    store(g, name, e)
    transition(g, 'reopened', name, e)
  else
    name = open_incident(g, a, 'Firing')
  end
  record(g, a, r, 'f', '-', name)
  redis.call('ZREM', g.keys.recent, a.fingerprint)
  if crowd(g) >= g.limits.threshold then promote(g) end
end

-- show puts an alert that is over into an incident: the storm, or a resolved one of its own.
local function show(g, a, r)
  if g.state ~= 'calm' then return join(g, a, r, 'r') end
  record(g, a, r, 'r', '-', open_incident(g, a, 'Resolved'))
end

local function resolves(g, a, r)
  if g.state == 'storm' then
    g.storm.firing = g.storm.firing - 1
    record(g, a, r, 'r', 'm', '')
    return touch(g)
  end
  local e = get_entry(g, r.object)
  record(g, a, r, 'r', '-', r.object)
  if not e or e.state ~= 'Firing' then return end
  local fired = e.reopenedAt or e.openedAt
  if fired > g.now - g.limits.window then redis.call('ZADD', g.keys.recent, int(fired), a.fingerprint) end
  e.firing = 0
  resolve(g, r.object, e, 'AllResolved')
  if redis.call('EXISTS', g.keys.open) == 0 then hasten(g) end
end

-- repeats notes that an alert still fires.
local function repeats(g, a, r)
  if a.status == 'f' then
    r.starts = math.min(r.starts, a.starts)
    if r.rest == '' then r.rest = a.rest end
  end
  r.at = math.max(r.at, a.at)
  put_sources(r, a.known)
  put_record(g, a.fingerprint, r)
  local e = g.state == 'calm' and get_entry(g, r.object)
  if not e then return end
  e.lastSeen = g.now
  local truncated = g.truncated or g.notifications == '' and e.truncated or nil
  if truncated == e.truncated and not e.incomplete then return put_entry(g, r.object, e) end
  if e.incomplete then redis.call('HSET', g.keys.objects, r.object .. '#', a.facts) end
  e.truncated, e.incomplete, e.changedAt, e.revision = truncated, nil, g.now, bump(g)
  store(g, r.object, e)
end

-- over_until returns until when (ms) firing reports are about a firing that is over. An imported record has no time of
-- its own, but its incident has an end.
local function over_until(g, r)
  if not r or r.at > 0 or r.status ~= 'r' then return 0 end
  if r.mark == 't' then return tonumber(r.object) or 0 end
  local e = get_entry(g, r.mark == '-' and r.object or g.absorbInto or '')
  return e and e.endedAt or 0
end

local function apply(g, a)
  local r, limits = get_record(g, a.fingerprint), g.limits
  if g.state == 'calm' and live(g, r) then
    local e = get_entry(g, r.object)
    if e and e.state == 'Firing' and expire(g, r.object, e) then r = get_record(g, a.fingerprint) end
  end
  if a.status == 'f' and math.max(a.at, a.starts) < over_until(g, r) then return end
  local fresh = g.state ~= 'calm' and a.status == 'r' and (a.ends == 0 or g.now - a.ends <= limits.cooldown)
  a.known = get_sources(r)
  local source, news = update(a.known, a)
  if not r then
    -- A firing report older than quiet is over: a Kubernetes Event that is listed again, for example.
    if a.status == 'f' then return g.now - a.at < limits.quiet and fires(g, a, nil) end
    if fresh then return show(g, a, nil) end
    if redis.call('HLEN', g.keys.alerts) < 2 * limits.maxAlerts then record(g, a, nil, 'r', 't', '') end
    return
  end
  local firing = false
  for _, x in ipairs(a.known) do -- A source that has fallen silent keeps nothing firing.
    firing = firing or fires_by(x) and g.now - x.f < limits.quiet
  end
  local reported = a.at
  a.at = math.max(a.at, r.at)
  if live(g, r) then
    if not firing and a.status == 'r' then return resolves(g, a, r) end
    return news and repeats(g, a, r)
  end
  if news and a.status == 'f' and firing then return fires(g, a, r) end

  -- It does not fire. A tombstone is shown when a report tells that it fired since its last incident, or, in a storm,
  -- that it ended only now.
  local since = r.mark == 't' and (tonumber(r.object) or 0)
  if since then
    local fired = a.status == 'f' and reported > since and (since == 0 or reported <= (source.r or 0))
    if fired or fresh and since == 0 then return show(g, a, r) end
  end
  if not news then return end
  if a.status == 'r' then
    -- Once its incident is a thing of the past, only a late firing report can tell whether it fired since.
    local shown = g.state ~= 'calm' and member(g, r) or
      g.state == 'calm' and r.generation == g.generation and ended_lately(g, a, r)
    if r.mark ~= 't' and not shown or r.mark == 't' and r.at == 0 then
      r.mark, r.object = 't', int(r.at > 0 and r.at or math.max(a.at, over_until(g, r)))
    end
    r.status, r.generation = 'r', g.generation
  end
  r.at = a.at
  put_sources(r, a.known)
  put_record(g, a.fingerprint, r)
end
