#!lua
-- #include incident
-- import: writes what Go has decided about an incident that is in Kubernetes (see merge.go), if what Go had read is
-- still so.
--
-- KEYS  as group.lua says
-- ARGV  1 head (JSON):
--         now (ms, 0: Redis' own), group, revision that was read
--         decided: the change needs a shard whose alerts wait, so that nothing else decides about them meanwhile
--         policy, labels, parameters, settings, overflow: of a group that is not there yet
--         fields {name: value...}, records {identity: {read, new}}, facts {name: facts (JSON)...}
--         incidents {name: {read ('': none), new ('': drop)}}
--         settled {identities that no longer count for the threshold...}
-- Returns 'ok'; 'changed': something else than what was read is there; 'imported': the shard does not wait, and is
--       marked as one that has to be imported. In the latter cases nothing was written.
local head = cjson.decode(ARGV[1])
local now = clock(head.now)

local g = load(group_keys(4), head.group, now)
if head.decided and imported(due, epoch) then
  redis.call('DEL', epoch)
  return 'imported'
end
if g.revision ~= head.revision then return 'changed' end
for name, change in pairs(head.incidents) do
  if (redis.call('HGET', g.keys.objects, name) or '') ~= change[1] then return 'changed' end
end
for fingerprint, change in pairs(head.records) do
  if (redis.call('HGET', g.keys.alerts, fingerprint) or '') ~= change[1] then return 'changed' end
end

if not g.policy then
  create(g, head.policy, head.labels, head.overflow)
  set(g, {parameters = head.parameters, settings = head.settings, lastSeen = now})
  g.limits = cjson.decode(head.parameters)
end
set(g, head.fields)
for fingerprint, change in pairs(head.records) do redis.call('HSET', g.keys.alerts, fingerprint, change[2]) end
for _, fingerprint in ipairs(head.settled) do redis.call('ZREM', g.keys.recent, fingerprint) end
if g.state ~= 'calm' then redis.call('DEL', g.keys.recent) end
for name, facts in pairs(head.facts) do redis.call('HSET', g.keys.objects, name .. '#', facts) end
for name, change in pairs(head.incidents) do
  if change[2] == '' then drop(g, name) else store(g, name, cjson.decode(change[2])) end
end
g.storm = g.object ~= '' and get_entry(g, g.object) or nil
commit(g)
return 'ok'
