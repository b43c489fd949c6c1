#!lua flags=no-writes
-- #include group
-- #include record
-- read: returns what is known of a group, of some of its alerts, and of the incidents that have to do with them, at one
-- moment.
--
-- KEYS  as group.lua says
-- ARGV  1 clock (ms, 0: Redis' own), 2 group id, 3 name of an incident ('': none), then identities of alerts
-- Returns {now, imported 0|1, due (ms, 0: never), alerts that wait for the import, open incidents of single alerts,
--       those of them that no storm absorbs, fields of the group {name, value...}, resolved alerts by when they newly
--       fired {identity, ms...}, records {identity, record ('': none)...}, incidents {name, entry (JSON)...}}
local now, id, k = clock(ARGV[1]), ARGV[2], group_keys(4)

local fields, records, incidents, seen = redis.call('HGETALL', k.hash), {}, {}, {}
local g = {keys = k}
for i = 1, #fields, 2 do g[fields[i]] = fields[i + 1] end
local function incident(name)
  if not name or name == '' or seen[name] then return end
  seen[name] = true
  local raw = redis.call('HGET', k.objects, name)
  if not raw then return end
  incidents[#incidents + 1] = name
  incidents[#incidents + 1] = raw
  incident(cjson.decode(raw).absorbedBy)
end
incident(ARGV[3])
incident(g.object)
incident(g.absorbInto)
for i = 4, #ARGV do
  records[#records + 1] = ARGV[i]
  records[#records + 1] = redis.call('HGET', k.alerts, ARGV[i]) or ''
  local r = get_record(g, ARGV[i])
  if r and r.mark == '-' then incident(r.object) end
end
return {now, imported(due, epoch) and 1 or 0, int(tonumber(redis.call('ZSCORE', due, id) or 0)),
  math.max(0, redis.call('HLEN', k.waiting) - 1),
  redis.call('ZCARD', k.open), redis.call('ZCOUNT', k.open, '(' .. (g.absorbRevision or 0), '+inf'), fields,
  redis.call('ZRANGE', k.recent, 0, -1, 'WITHSCORES'), records, incidents}
