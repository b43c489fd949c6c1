#!lua
-- #include alert
-- #include waiting
-- fold: joins alerts with what their group knows, and decides what that means: an incident opens, becomes a storm,
-- resolves, or reopens. It is one script, so no other pod sees half of it. It has no flags: when Redis is out of memory
-- it refuses the whole call. Until the shard has been imported from Kubernetes alerts wait; the first fold after that
-- applies them, 256 a call.
--
-- KEYS  as group.lua says, then those of the policy's overflow group (none without a policy, or for a storm)
-- ARGV  1 head (JSON, below), 2 the policy's limits (JSON, '' without a policy), 3 its settings for the object (JSON),
--       then for each alert, at most 256: identity, source ('' when that is the identity), f or r, notifiedAt,
--       startsAt, endsAt (ms, 0: unknown), the part of its record that only Go reads, slug of an object's name,
--       facts (JSON); the last two are '' for a storm
-- Returns {now, id of the group that took the alerts, revision, changed 0|1, lease granted 0|1|2 (2: another's had run
--       out), due (ms), state (waiting: they wait for the import), alerts that count for the threshold, when the oldest
--       of them that is over leaves the window (ms, 0: none), the storm's alerts, firing ones, newly firing ones,
--       transitions {kind, incident, namespace, revision, total, firing, reason, type, told 0|1}..., the open storm's
--       object (''), its common labels (JSON, ''), numbers of the alerts that the group left {n...}}
--       {'other'}: head.storm is not the group's open storm, and nothing was done
--       Error WAITING: too many alerts wait
local head = cjson.decode(ARGV[1])
local now = clock(head.now) -- ms, 0: Redis' own
local token, lease = head.token, head.lease -- lease token ('': none wanted), and its length (ms)
local policy = head.policy -- '': apply what waits, and of the alerts given those that fire in the group
local labels, overflow_id = head.labels, head.overflow -- the group's labels (JSON), id of its overflow group
local storm = head.storm -- the open storm for which the call is made, '': any state
local common = head.common -- labels that the alerts share (JSON), '': the storm's are among them
local notifications = head.notifications -- group keys of the sender, each and a space, with ! before a truncated one
local parameters, settings, FIRST, FIELDS = ARGV[2], ARGV[3], 4, 9

local limits = policy ~= '' and cjson.decode(parameters)
local g = load(group_keys(4), head.group, now, limits)
set(g, {leaseUntil = math.min(g.leaseUntil, now + lease)})
if storm ~= '' and (g.object ~= storm or g.state ~= 'storm' or g.waits or overdue(g, g.storm)) then return {'other'} end

if not limits then
  limits = g.limits
  if not limits or not imported(due, epoch) then
    local all = {}
    for n = 1, (#ARGV - FIRST + 1) / FIELDS do all[n] = n end
    return {now, g.id, g.revision, 0, 0, 0, g.state, 0, 0, 0, 0, 0, {}, '', '', all}
  end
else
  local overflow = '0'
  if not g.policy and not g.reserved then
    -- While the overflow group has something open it keeps its alerts: no group is made beside it.
    local over = group_keys(11)
    local open = (redis.call('HGET', over.hash, 'state') or 'calm') ~= 'calm' or redis.call('EXISTS', over.open) == 1
    if open or tonumber(redis.call('HGET', groups, policy) or 0) >= limits.maxGroups then
      g, labels, overflow = load(over, overflow_id, now, limits), '{}', '1'
    end
  end
  set(g, {parameters = parameters, settings = settings})
  if not g.policy then create(g, policy, labels, overflow) end
end

local alerts, left, latest, revision = {}, {}, 0, g.revision
for i = FIRST, #ARGV, FIELDS do
  local a = {fingerprint = ARGV[i], source = ARGV[i + 1], status = ARGV[i + 2], at = tonumber(ARGV[i + 3]),
    starts = tonumber(ARGV[i + 4]), ends = tonumber(ARGV[i + 5]), rest = ARGV[i + 6], slug = ARGV[i + 7],
    facts = ARGV[i + 8], namespace = head.namespace}
  -- Without a policy the group takes what fires in it, and what it knows already.
  local r = policy == '' and get_record(g, a.fingerprint)
  if policy == '' and not live(g, r) and not (r and a.at <= r.at) then
    left[#left + 1] = (i - FIRST) / FIELDS + 1
  else
    alerts[#alerts + 1] = a
    latest = math.max(latest, a.at)
  end
end
g.truncated = string.find(notifications, '!', 1, true) ~= nil
if not imported(due, epoch) then
  if storm ~= '' then return {'other'} end
  local err = wait(g, alerts)
  if err then return err end
  set(g, {lastSeen = now})
  commit(g)
  return {now, g.id, g.revision, 1, 0, now, 'waiting', 0, 0, 0, 0, 0, {}, '', '', {}}
end
local shared, cut = take_waiting(g, alerts)
if common ~= '' then shared[#shared + 1] = common end
if cut then -- Nobody knows any more which notification that was.
  g.truncated, notifications = true, notifications .. '!* '
end

g.notifications, g.opened, g.beyond, g.newly = notifications, {}, {}, 0
age(g)
-- Imported incidents, or a lower threshold, may make a storm before any alert does.
if g.state == 'calm' and crowd(g) >= limits.threshold then promote(g) end
for _, a in ipairs(alerts) do apply(g, a) end
if #alerts > 0 then set(g, {lastSeen = now}) end

-- MAX_CUT is how many truncated groups of the sender are remembered. With more, the counts stay lower bounds.
local MAX_CUT = 16

-- The sender reports what it left out of one notification in a later one of the same group.
if g.state == 'storm' and notifications ~= '' and (g.truncated or g.storm.truncated) then
  local e, keys, n = g.storm, g.storm.cut or {}, 0
  for mark, key in string.gmatch(notifications, '(!?)([^ ]*) ') do
    for other, at in pairs(mark == '' and keys or {}) do
      if (other == key or other == '*') and latest > at then keys[other] = nil end
    end
    if mark == '!' then keys[key] = math.max(keys[key] or 0, latest) end
  end
  for _ in pairs(keys) do n = n + 1 end
  e.cut = n > MAX_CUT and {[''] = latest} or n > 0 and keys or nil
  local truncated = (n > 0 or e.beyond > 0) or nil
  if truncated ~= e.truncated then touch(g) end
  e.truncated = truncated
  put_entry(g, g.object, e)
end

-- share narrows the labels that all alerts have in common, since the group was last idle. It returns whether any were
-- lost.
local function share(text)
  if g.common == text or g.state == 'calm' and redis.call('EXISTS', g.keys.open) == 0 then return false end
  local both, lost = {}, false
  if (g.common or '') ~= '' then
    local new = cjson.decode(text)
    for label, value in pairs(cjson.decode(g.common)) do
      if new[label] == value then both[label] = value else lost = true end
    end
    if not lost then return false end
    text = next(both) and cjson.encode(both) or '{}'
  end
  set(g, {common = text})
  return lost
end
for _, text in ipairs(shared) do
  if share(text) and g.state == 'storm' then touch(g) end
end

-- The end is decided after all alerts of the call, whose order does not matter. A storm whose counts are lower bounds
-- cannot know that all alerts have resolved.
if g.state == 'storm' and g.storm.firing == 0 and not g.storm.truncated then
  end_storm(g, 'AllResolved')
elseif g.state == 'cool' and g.touched then
  g.storm.common = g.common
end

local changed = g.revision > revision
-- A call that the client has repeated has the lease already.
local granted = token ~= '' and g.leaseUntil > now and g.lease == token and 1 or 0
if changed and token ~= '' and g.leaseUntil <= now and g.notBefore <= now then
  granted = g.leaseUntil > 0 and 2 or 1
  set(g, {lease = token, leaseUntil = now + lease, leaseRevision = g.revision})
end
local counting, leaves, e = 0, 0, g.storm or {total = 0, beyond = 0, firing = 0}
if g.state == 'calm' then
  counting = crowd(g)
  local oldest = redis.call('ZRANGE', g.keys.recent, 0, 0, 'WITHSCORES')
  if #oldest > 0 then leaves = tonumber(oldest[2]) + limits.window end
end
local at, open = commit(g), g.state == 'storm'
return {now, g.id, g.revision, changed and 1 or 0, granted, at, g.state, counting, leaves, e.total + e.beyond, e.firing,
  g.newly, g.out, open and g.object or '', open and common ~= '' and g.common or '', left}
