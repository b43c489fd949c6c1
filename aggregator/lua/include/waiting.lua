-- #include incident
-- Alerts that wait until their shard has been imported from Kubernetes: of each source the latest firing report and the latest
-- resolution, as JSON, under identity, source and status; and under # the group's own fields.

-- wait keeps alerts for later. It returns an error when too many wait.
local function wait(g, alerts)
  if redis.call('HLEN', g.keys.waiting) + #alerts > 3 * g.limits.maxAlerts + MOST then
    return redis.error_reply("WAITING the group's incidents have not been imported from Kubernetes yet, and too many alerts "
      .. 'wait for it')
  end
  for _, a in ipairs(alerts) do
    local key = a.fingerprint .. a.source .. a.status
    local raw = redis.call('HGET', g.keys.waiting, key)
    local other = raw and cjson.decode(raw) or a
    local latest = other.at > a.at and other or a
    latest.truncated = g.truncated or a.truncated or other.truncated
    redis.call('HSET', g.keys.waiting, key, cjson.encode(latest))
  end
  redis.call('HSET', g.keys.waiting, '#', cjson.encode({policy = g.policy, labels = g.labels, overflow = g.overflow,
    parameters = g.parameters, settings = g.settings})) -- The group's hash may be lost.
  g.waits = true
end

-- take_waiting puts alerts that have waited before the others, the oldest first. It returns the labels (JSON) of each, and
-- whether a notification of one of them was truncated.
local function take_waiting(g, alerts)
  local common, truncated, waited = {}, false, {}
  if not g.waits then return common, truncated end
  local page = redis.call('HRANDFIELD', g.keys.waiting, MOST, 'WITHVALUES')
  for i = 1, #page, 2 do
    local a = page[i] ~= '#' and cjson.decode(page[i + 1])
    if a then
      waited[#waited + 1] = a
      redis.call('HDEL', g.keys.waiting, page[i])
      truncated = truncated or a.truncated
      local labels = cjson.decode(a.facts).labels
      if type(labels) == 'table' then common[#common + 1] = next(labels) and cjson.encode(labels) or '{}' end
    end
  end
  if redis.call('HLEN', g.keys.waiting) == 1 then redis.call('UNLINK', g.keys.waiting) end
  table.sort(waited, function(a, b)
    if a.at ~= b.at then return a.at < b.at end
    return a.fingerprint .. a.status < b.fingerprint .. b.status
  end)
  for i = #alerts, 1, -1 do alerts[i + #waited] = alerts[i] end
  for i, a in ipairs(waited) do alerts[i] = a end
  g.waits = redis.call('EXISTS', g.keys.waiting) == 1
  return common, truncated
end
