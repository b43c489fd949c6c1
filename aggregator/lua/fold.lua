#!lua
-- fold: joins the alerts of one event (at most 256) with what their group knows, and decides what that means: an incident
-- opened, a storm, an end, a reopening. One script, so no other pod sees half of it. It carries no flag: Redis refuses
-- it whole when it is out of memory.
--
-- Before a group's incidents have been imported from Kubernetes nothing can be decided: its alerts wait, see wait, and the
-- first fold after the import (or one without alerts of its own) applies them, at most 256 a call.
--
-- KEYS 1 due index, 2 groups per policy, 3 epoch, 4-10 the group (see lib.lua), 11-17 the policy's overflow group (none
--      with argument 13, or without 5)
-- ARGV 1 clock (ms, 0: Redis' own)
--      2 lease token ('': no lease wanted), 3 lease (ms)
--      4 group id
--      5 policy ('': only apply what waits, and of the alerts given those that fire in an incident of the group; 6 to 10
--        and 12 are empty then)
--      6 group labels (JSON), 7 overflow group id
--      8 the policy's numbers (JSON), 9 settings for the projection (JSON)
--      10 labels common to the alerts (JSON; '': those of the storm are among them)
--      11 the notifications that the alerts came with, each as the sender's group key and a space, with ! before it when the
--         sender left alerts out ('': not known)
--      12 namespace for new objects
--      13 the storm's object, when the call is made for a storm that goes on ('': for any state)
--      then for each alert: fingerprint, source (hex digits of the fingerprint that was sent; '' when that is the first), f or r,
--      notifiedAt, startsAt, endsAt (ms, 0: unknown), what the record holds for Go, slug of the object's name, facts for Go
--      (JSON); the last two are empty with 13: what they are for does not happen in a storm
-- Returns {now, id of the group that took the alerts, revision, changed 0|1,
--      lease granted 0|1|2 (2: somebody else's had run out), due (ms), state (waiting: they wait for the import),
--      alerts that count towards a storm, when the oldest of them that is over leaves the window (ms, 0: there is none),
--      members, firing, newly firing,
--      transitions {kind, name, namespace, revision, total, firing, reason, type A|S, told 0|1: a pod was told to write the
--      object before}..., where kind is opened, storm, resolved, reopened or absorbed,
--      the open storm's object (''), its common labels (JSON; ''),
--      numbers of the alerts that were not applied, since none of them fires in the group {n...}};
--      {'other'}: there is no such storm as 13 says, and nothing was done.
--      An error WAITING: too many alerts wait already.

local now = clock(ARGV[1])
local due, groups, epoch = KEYS[1], KEYS[2], KEYS[3]
local token, gid, policy = ARGV[2], ARGV[4], ARGV[5]
local notified = ARGV[11]
local truncated = string.find(notified, '!', 1, true) ~= nil
local k, labels, overflow = keys_at(4), ARGV[6], '0'
local p = policy ~= '' and cjson.decode(ARGV[8])

-- all_words are the numbers of all alerts of the call.
local function all_words()
  local out = {}
  for i = 14, #ARGV, 9 do out[#out + 1] = (i - 5) / 9 end
  return out
end

local g = load(k, due, gid, now, p)
set(g, 'lu', math.min(g.lu, now + tonumber(ARGV[3])))
local storm = ARGV[13] ~= ''
if storm and (g.obj ~= ARGV[13] or g.st ~= 'storm' or g.waits or late(g, now)) then
  if g.lost == '1' then save(g) end
  return {'other'}
end
if not p then
  p = g.p
  if not p or g.lost == '1' or not imported(due, epoch) then
    return {now, gid, g.rev, 0, 0, 0, g.st, 0, 0, 0, 0, 0, {}, '', '', all_words()}
  end
else
  if not g.pol and g.lost ~= '1' then
    -- While the overflow group has something open, alerts that it counts stay there: no group comes to be beside it.
    local overflows = (redis.call('HGET', KEYS[11], 'st') or 'calm') ~= 'calm' or redis.call('EXISTS', KEYS[15]) == 1
    if overflows or tonumber(redis.call('HGET', groups, policy) or 0) >= p.maxGroups then
      k, gid, labels, overflow = keys_at(11), ARGV[7], '{}', '1'
      g = load(k, due, gid, now, p)
    else
      redis.call('HINCRBY', groups, policy, 1)
    end
  end
  set(g, 'par', ARGV[8])
  set(g, 'opt', ARGV[9])
end
if not g.pol then
  set(g, 'pol', policy)
  set(g, 'lab', labels)
  set(g, 'ovf', overflow)
  begin(g)
end

local words = {}
local elsewhere = {}
for i = 14, #ARGV, 9 do
  -- A group of earlier policies goes on with what fires in it, and hears again what it knows already.
  local r = policy == '' and get_record(g, ARGV[i])
  if policy == '' and not live(g, r) and not (r and tonumber(ARGV[i + 3]) <= r.at) then
    elsewhere[#elsewhere + 1] = (i - 5) / 9
  else
    words[#words + 1] = {fp = ARGV[i], src = ARGV[i + 1], s = ARGV[i + 2], at = tonumber(ARGV[i + 3]),
      starts = tonumber(ARGV[i + 4]), ends = tonumber(ARGV[i + 5]), rest = ARGV[i + 6], slug = ARGV[i + 7],
      facts = ARGV[i + 8], ns = ARGV[12]}
  end
end
if g.lost == '1' or not imported(due, epoch) then
  if storm then return {'other'} end
  local err = wait(g, words, truncated)
  if err then return err end
  set(g, 'heard', now)
  redis.call('ZADD', due, int(now), gid)
  save(g)
  return {now, gid, g.rev, 1, 0, now, 'waiting', 0, 0, g.n + g.x, g.f, 0, {}, '', '', {}}
end
local said = 0
for _, a in ipairs(words) do said = math.max(said, a.at) end
local shared, cut = waited(g, words)
if ARGV[10] ~= '' then shared[#shared + 1] = ARGV[10] end
if cut then -- Which notification that was is not known any more.
  truncated, notified = true, notified .. '!* '
end
-- CUTS is how many of a sender's groups with alerts left out are remembered, before all of them count as one that stays so.
local CUTS = 16

local out, opened, changed, newly = {}, {}, false, 0
-- Alerts of this call beyond maxAlerts.
local beyond, untracked = {}, 0
age(g, now, out)
changed = #out > 0

-- storm_changed takes a new revision once a call: all alerts of the call share it.
local storm_rev
local function storm_changed()
  changed = true
  if not storm_rev then
    storm_rev = bump(g, now)
    redis.call('ZADD', k.todo, 0, g.obj)
  end
  set(g, 'srev', g.rev)
  set(g, 'lch', now)
end

local function open_single(a, state)
  local rev = bump(g, now)
  local name = object_name(g, a.slug, rev)
  local e = {t = 'A', fp = a.fp, s = state, at = now, rev = rev, frev = 0, ns = a.ns, h = now, lc = now, ro = 0}
  if truncated then e.tr = 1 end
  if state == 'open' then
    if redis.call('ZCARD', k.open) == 0 then
      -- The group's first opening does not wait for the flush interval, only for the policy's hold.
      set(g, 'nf', math.max(now + p.hold, g.lf + p.flushMin))
      set(g, 'com', '')
    end
    redis.call('ZADD', k.open, int(rev), name)
    transition(out, 'opened', name, e, rev, 1, 1)
  else
    e.e, e.why = now, 'AllResolved'
  end
  put_entry(g, name, e)
  redis.call('HSET', k.objects, name .. '#', a.facts)
  redis.call('ZADD', k.todo, 1, name)
  opened[name] = true
  changed = true
  return name
end

-- crowd is how many distinct alerts count towards a storm: those that fire now, and those that newly fired within the window and
-- are over.
local function crowd()
  redis.call('ZREMRANGEBYSCORE', k.recent, '-inf', int(now - p.window))
  return redis.call('ZCOUNT', k.open, '(' .. int(g.pr), '+inf') + redis.call('ZCARD', k.recent)
end

-- promote makes the oldest open incident the storm. Those that no pod was told to write yet never come to be. Those
-- whose time is up end before: a storm that begins at its maximum duration would end at once.
local function promote()
  absorb(g, now, MOST, out) -- What an earlier storm of the group has not absorbed yet belongs to that one.
  local from = '(' .. int(g.pr)
  local name, e
  repeat
    name = redis.call('ZRANGEBYSCORE', k.open, from, '+inf', 'LIMIT', 0, 1)[1]
    e = name and get_entry(g, name)
    local expired = e and expire(g, name, e, now, out)
    changed = changed or expired
  until not expired
  if not e then return end
  set(g, 'n', redis.call('ZCOUNT', k.open, from, '+inf'))
  set(g, 'f', g.n)
  redis.call('ZREM', k.open, name)
  set(g, 'st', 'storm')
  set(g, 'obj', name)
  set(g, 'oat', e.at)
  set(g, 'srev', bump(g, now))
  set(g, 'lch', now)
  set(g, 'pn', name)
  set(g, 'pr', g.rev)
  set(g, 'tr', e.tr or 0)
  set(g, 'cut', e.tr == 1 and '{"*":0}' or '')
  set(g, 'qat', now + p.quiet)
  e.t, e.st, e.lc, e.rev, e.gen, e.since = 'S', g.n > 1 and now or nil, now, g.rev, g.gen, g.since
  put_entry(g, name, e)
  redis.call('ZADD', k.todo, 0, name)
  redis.call('DEL', k.recent)
  changed = true
  if g.n == 1 then return end -- With a threshold of 1 it is a storm to be.
  local kept = {}
  for _, t in ipairs(out) do
    if not (t[1] == 'opened' and opened[t[2]]) then kept[#kept + 1] = t end
  end
  out = kept
  for other in pairs(opened) do
    if other ~= name and redis.call('ZSCORE', k.open, other) then drop_object(g, other) end
  end
  transition(out, 'storm', name, e, g.rev, g.n, g.f)
end

local function reopen(name, e)
  e.s, e.why, e.ro, e.ra, e.lc, e.h = 'open', nil, e.ro + 1, now, now, now
  e.e, e.n, e.f, e.x, e.com = nil, nil, nil, nil, nil
  changed = true
end

local function record(a, r, s, m, obj)
  r = r or {}
  r.s, r.m, r.at, r.gen, r.obj, r.starts, r.rest = s, m, a.at, g.gen, obj, a.starts, a.rest
  keep_sources(r, a.known)
  put_record(g, a.fp, r)
end

-- takes_over makes the incident of an alert that ended lately a part of the storm: in a calm group it would be reopened.
local function takes_over(a, r)
  local e = r.m == '-' and r.obj ~= '' and get_entry(g, r.obj)
  if not e or e.t ~= 'A' or e.s ~= 'resolved' or e.why ~= 'AllResolved' or not reopens(g, a, e.e, now) then return end
  if not e.a then return drop_object(g, r.obj) end
  e.s, e.why, e.by, e.lc, e.rev = 'absorbed', nil, g.obj, now, bump(g, now)
  put_entry(g, r.obj, e)
  redis.call('ZADD', k.todo, 1, r.obj)
  transition(out, 'absorbed', r.obj, e, e.rev, 1, 0)
end

-- join_storm adds an alert to the storm, firing or resolved; beyond maxAlerts it is only counted.
local function join_storm(a, r, s)
  if not member(g, r) then
    if g.n >= p.maxAlerts or (not r and redis.call('HLEN', k.alerts) >= 3 * p.maxAlerts) then
      if not beyond[a.fp] then untracked = untracked + 1 end
      beyond[a.fp] = true
      if g.tr == 0 or untracked > g.x then
        set(g, 'tr', 1)
        set(g, 'x', math.max(g.x, untracked))
        storm_changed()
      end
      return
    end
    set(g, 'n', g.n + 1)
    if r then takes_over(a, r) end
  end
  if s == 'f' then set(g, 'f', g.f + 1) end
  record(a, r, s, 'm', '')
  storm_changed()
  if g.n == 2 then
    local e = get_entry(g, g.obj)
    if not e.st then -- The second alert of a group with a threshold of 1.
      e.st = now
      put_entry(g, g.obj, e)
      if g.st == 'storm' then transition(out, 'storm', g.obj, e, g.rev, g.n, g.f) end
    end
  end
end

-- ended_lately returns the incident of a single alert that is over and that this alert would reopen.
local function ended_lately(a, r)
  local e = g.st == 'calm' and r.m == '-' and r.obj ~= '' and r.gen == g.gen and get_entry(g, r.obj)
  return e and e.s == 'resolved' and e.why == 'AllResolved' and reopens(g, a, e.e, now) and e or nil
end

local function fires(a, r)
  newly = newly + 1
  if g.st == 'cool' and not reopens(g, a, g.res, now) then close(g) end
  if g.st == 'cool' then
    local e = get_entry(g, g.obj)
    reopen(g.obj, e)
    put_entry(g, g.obj, e)
    set(g, 'st', 'storm')
    set(g, 'res', 0)
    storm_changed()
    join_storm(a, r, 'f')
    return transition(out, 'reopened', g.obj, e, g.rev, g.n + g.x, g.f)
  end
  if g.st == 'storm' then return join_storm(a, r, 'f') end

  local name, e
  if r then name, e = r.obj, ended_lately(a, r) end
  if e then
    reopen(name, e)
    e.rev = bump(g, now)
    put_entry(g, name, e)
    redis.call('ZADD', k.open, int(e.rev), name)
    redis.call('ZADD', k.todo, 1, name)
    transition(out, 'reopened', name, e, e.rev, 1, 1)
  else
    name = open_single(a, 'open')
  end
  record(a, r, 'f', '-', name)
  redis.call('ZREM', k.recent, a.fp)
  if crowd() >= p.threshold then promote() end
end

-- shown puts an alert that is over into an incident: the storm, or a resolved one of its own.
local function shown(a, r)
  if g.st ~= 'calm' then return join_storm(a, r, 'r') end
  record(a, r, 'r', '-', open_single(a, 'resolved'))
end

local function resolves(a, r)
  if g.st == 'storm' then
    set(g, 'f', g.f - 1)
    record(a, r, 'r', 'm', '')
    storm_changed()
    return
  end
  local e = get_entry(g, r.obj)
  record(a, r, 'r', '-', r.obj)
  if e and e.s == 'open' then
    local fired = e.ra or e.at
    if fired > now - p.window then redis.call('ZADD', k.recent, int(fired), a.fp) end
    end_single(g, r.obj, e, 'AllResolved', now, out)
    changed = true
    if redis.call('ZCARD', k.open) == 0 then set(g, 'nf', math.min(g.nf, math.max(now, g.lf + g.p.flushMin))) end
  end
end

-- repeats takes in that an alert still fires: when it was said moves, and nothing else.
local function repeats(a, r)
  if a.s == 'f' then
    r.starts = math.min(r.starts, a.starts)
    if r.rest == '' then r.rest = a.rest end
  end
  r.at = math.max(r.at, a.at)
  keep_sources(r, a.known)
  put_record(g, a.fp, r)
  local e = g.st == 'calm' and get_entry(g, r.obj)
  if not e then return end
  e.h = now
  local tr = truncated and 1 or notified == '' and e.tr or nil
  if tr ~= e.tr or e.bare then
    if e.bare then redis.call('HSET', k.objects, r.obj .. '#', a.facts) end
    e.tr, e.bare, e.lc, e.rev = tr, nil, now, bump(g, now)
    redis.call('ZADD', k.todo, 1, r.obj)
    changed = true
  end
  put_entry(g, r.obj, e)
end

-- apply joins one word with what is known of its alert.
local function apply(a)
  local r = get_record(g, a.fp)
  if g.st == 'calm' and live(g, r) then
    -- A single alert whose time is up ends before anything new is said about it.
    local e = get_entry(g, r.obj)
    if e and e.s == 'open' and expire(g, r.obj, e, now, out) then
      changed = true
      r = get_record(g, a.fp)
    end
  end
  local fresh = g.st ~= 'calm' and a.s == 'r' and (a.ends == 0 or now - a.ends <= p.cooldown)
  a.known = sources(r)
  local x, later = hear(a.known, a)
  if not r then
    -- What was said longer ago than the quiet time is over: an Event of Kubernetes that is listed again, say.
    if a.s == 'f' then return now - a.at < p.quiet and fires(a, nil) end
    if fresh then return shown(a, nil) end
    if redis.call('HLEN', k.alerts) < 2 * p.maxAlerts then record(a, nil, 'r', 't', '') end
    return
  end
  local firing = false
  for _, source in ipairs(a.known) do
    -- One that fell silent keeps nothing firing.
    firing = firing or fires_by(source) and now - source.f < p.quiet
  end
  local said = a.at
  a.at = math.max(a.at, r.at)
  if live(g, r) then
    if not firing and a.s == 'r' then return resolves(a, r) end
    if later then repeats(a, r) end
    return
  end
  if later and a.s == 'f' and firing then return fires(a, r) end

  -- It does not fire. A tombstone is shown all the same, whatever the order, when a word tells that there was something to
  -- show: that the alert fired since its last incident, or, in a storm, that it is over only now.
  local since = r.m == 't' and (tonumber(r.obj) or 0)
  local tells = a.s == 'f' and said > (since or 0) and (since == 0 or said <= (x.r or 0)) or fresh and since == 0
  if since and tells then return shown(a, r) end
  if not later then return end
  if a.s == 'r' then
    -- Its incident is a thing of the past. Whether it fired since, only a word that is still on its way can tell.
    if r.m ~= 't' and not (g.st ~= 'calm' and member(g, r)) and not ended_lately(a, r) or r.m == 't' and r.at == 0 then
      -- What came out of Kubernetes knew nothing of when it was last spoken of.
      r.m, r.obj = 't', int(r.at > 0 and r.at or a.at)
    end
    r.s, r.gen = 'r', g.gen
  end
  r.at = a.at
  keep_sources(r, a.known)
  put_record(g, a.fp, r)
end

if g.st == 'calm' and crowd() >= p.threshold then
  promote() -- Incidents that were imported, or a threshold that is lower now.
end
for _, a in ipairs(words) do apply(a) end

if #words > 0 then set(g, 'heard', now) end
-- What a sender left out of one notification, it may tell in a later one of the same group.
if g.st == 'storm' and notified ~= '' and (truncated or g.tr == 1) then
  local cut, n = cjson.decode(g.cut and g.cut ~= '' and g.cut or '{}'), 0
  for mark, key in string.gmatch(notified, '(!?)([^ ]*) ') do
    if mark == '!' then
      cut[key] = math.max(cut[key] or 0, said)
    else
      for other, at in pairs(cut) do
        if (other == key or other == '*') and said > at then cut[other] = nil end
      end
    end
  end
  for _ in pairs(cut) do n = n + 1 end
  if n > CUTS then cut = {[''] = said} end
  set(g, 'cut', n > 0 and cjson.encode(cut) or '')
  local tr = (n > 0 or g.x > 0) and 1 or 0
  if tr ~= g.tr then
    set(g, 'tr', tr)
    storm_changed()
  end
end
for _, said in ipairs(shared) do
  if share(g, said) and g.st == 'storm' then storm_changed() end
end

-- The end is decided once the whole call is known, so that the order inside it does not matter. An incident whose
-- counts are lower bounds cannot know that all is over.
if g.st == 'storm' and g.f == 0 and g.tr == 0 then
  end_storm(g, 'AllResolved', now, out)
elseif g.st == 'cool' and storm_rev then
  -- An alert that was over before it was heard of joined a storm that is over.
  local e = get_entry(g, g.obj)
  e.rev, e.lc, e.n, e.f, e.x, e.tr, e.com = g.srev, now, g.n, g.f, g.x, g.tr, g.com
  put_entry(g, g.obj, e)
end

local lease = token ~= '' and g.lu > now and g.lease == token and 1 or 0 -- The same call, sent again by the client.
if changed and token ~= '' and g.lu <= now and g.nf <= now then
  lease = g.lu > 0 and 2 or 1
  set(g, 'lease', token)
  set(g, 'lu', now + tonumber(ARGV[3]))
  set(g, 'lrev', g.rev)
end
local window, leaves = 0, 0
if g.st == 'calm' then
  window = crowd()
  local oldest = redis.call('ZRANGE', k.recent, 0, 0, 'WITHSCORES')
  if #oldest > 0 then leaves = tonumber(oldest[2]) + g.p.window end
end
local at = reschedule(g, due, gid, now)
save(g)
return {now, gid, g.rev, changed and 1 or 0, lease, at, g.st, window, leaves, g.n + g.x, g.f, newly, out,
  g.st == 'storm' and g.obj or '', g.st == 'storm' and ARGV[10] ~= '' and g.com or '', elsewhere}
