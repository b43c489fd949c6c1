-- #include shard
-- A group and its keys. docs/design.md lists the fields.

-- KEYS of every script that works on a group: those of its shard, and the group's own from the fourth on.
local due, groups, epoch = KEYS[1], KEYS[2], KEYS[3]

-- group_keys names the keys of a group, from KEYS[i] on, in the order of keys.go.
local function group_keys(i)
  return {hash = KEYS[i], alerts = KEYS[i + 1], recent = KEYS[i + 2], objects = KEYS[i + 3], open = KEYS[i + 4],
    todo = KEYS[i + 5], waiting = KEYS[i + 6]}
end

-- set changes fields of the group. commit writes what has changed.
local function set(g, fields)
  for field, value in pairs(fields) do
    if g[field] ~= value then g[field], g.changed[field] = value, true end
  end
end

local function get_entry(g, name)
  local raw = redis.call('HGET', g.keys.objects, name)
  return raw and cjson.decode(raw) or nil
end

-- account keeps the numbers of the shard: open incidents of single alerts (#A), open storms (#S), overflow groups (#O),
-- and the groups of each kind that have something open (@ and the kind). A group remembers what it has contributed.
local function account(g, alerts, storms, overflow, kind)
  local now = alerts .. ' ' .. storms .. ' ' .. overflow .. ' ' .. kind
  if now == g.contribution then return end
  local a, s, o, before = string.match(g.contribution, '(%d+) (%d+) (%d+) (.*)')
  local changes = {['#A'] = alerts - a, ['#S'] = storms - s, ['#O'] = overflow - o}
  if kind ~= before then changes['@' .. before], changes['@' .. kind] = -1, 1 end
  changes['@'] = nil -- No kind.
  for field, n in pairs(changes) do
    if n ~= 0 and redis.call('HINCRBY', groups, field, n) <= 0 then redis.call('HDEL', groups, field) end
  end
  set(g, {contribution = now})
end

-- key_count is how many of the group's keys exist, besides hash and waiting. Redis loses a key whole or not at all, so
-- a group that remembers another number has lost one.
local function key_count(k) return redis.call('EXISTS', k.alerts, k.objects, k.open, k.todo, k.recent) end

-- RETRY is the longest delay (ms) before a failed write is tried again.
local RETRY = 10000

local NUMBERS = {'revision', 'generation', 'since', 'absorbRevision', 'lastSeen', 'quietAt', 'quietOldest',
  'leaseUntil', 'leaseRevision', 'interval', 'notBefore', 'lastFlush', 'importedAt'}

-- create makes a group of which nothing is known. An overflow group does not count for maxGroups.
local function create(g, policy, labels, overflow)
  if overflow ~= '1' and not g.reserved then redis.call('HINCRBY', groups, policy, 1) end
  set(g, {policy = policy, labels = labels, overflow = overflow, generation = 1, since = 1})
end

-- load reads the group: its fields, the storm's entry, and the policy's limits as given or remembered. out collects
-- what happens to its incidents. When Redis has lost a part of the group, the rest goes too, and the shard has to be
-- imported.
local function load(k, id, now, limits)
  local g = {keys = k, id = id, now = now, out = {}, changed = {}, contribution = '0 0 0 '}
  local flat = redis.call('HGETALL', k.hash)
  for i = 1, #flat, 2 do g[flat[i]] = flat[i + 1] end
  g.waits = redis.call('EXISTS', k.waiting) == 1
  g.object = g.object or ''
  g.storm = g.object ~= '' and get_entry(g, g.object) or nil
  local lost = key_count(k) ~= tonumber(g.keyCount or 0) or g.object ~= '' and not g.storm
  if lost or #flat == 0 and not g.waits and redis.call('ZSCORE', due, id) then
    account(g, 0, 0, 0, '')
    redis.call('UNLINK', k.hash, k.alerts, k.recent, k.objects, k.open, k.todo)
    redis.call('HSET', k.hash, 'reserved', 1) -- It still counts for maxGroups.
    redis.call('DEL', epoch)
    return load(k, id, now, limits)
  end
  for _, f in ipairs(NUMBERS) do g[f] = tonumber(g[f] or 0) end
  if not g.policy and g.waits then
    g.reserved = '1'
    local known = cjson.decode(redis.call('HGET', k.waiting, '#') or '{}')
    if known.policy then create(g, known.policy, known.labels, known.overflow) end
    set(g, {parameters = known.parameters, settings = known.settings})
  end
  g.state = g.state or 'calm'
  g.limits = limits or g.parameters and cjson.decode(g.parameters)
  -- After Redis' clock was set back, times may lie ahead of it: none further than its interval from now.
  set(g, {lastSeen = math.min(g.lastSeen, now), lastFlush = math.min(g.lastFlush, now)})
  local wait = g.limits and math.max(g.limits.flushMax, g.limits.hold, RETRY)
  if wait then set(g, {notBefore = math.min(g.notBefore, now + wait)}) end
  return g
end

-- bump takes the next revision: above all before it, also after Redis was emptied.
local function bump(g)
  set(g, {revision = math.max(g.revision + 1, g.now)})
  return g.revision
end
