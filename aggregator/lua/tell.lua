#!lua flags=allow-oom
-- #include incident
-- tell: tells an incident of which outage it is a part. Of several the one of the policy that comes first counts.
--
-- KEYS  as group.lua says
-- ARGV  1 clock (ms, 0: Redis' own), 2 group id, 3 name of the incident, 4 the teller (JSON: group, rank of its policy,
--       name of the outage, '' when the incident is no longer a part of one of that group, and at, which orders them)
-- Returns {'1', due (ms, 0: nothing changed)}, {'0', 0} when the incident is not known or absorbed, or {'wait', 0}
--       while the shard has to be imported
local now, id, name, teller = clock(ARGV[1]), ARGV[2], ARGV[3], cjson.decode(ARGV[4])
local g = load(group_keys(4), id, now)
if not imported(due, epoch) then return {'wait', 0} end
local e = g.policy and (name == g.object and g.storm or get_entry(g, name))
if not e or e.state == 'Absorbed' then return {'0', 0} end
local parent = e.parent or {name = ''}
local same = parent.group == teller.group
-- Kubernetes knows the name alone: then there is no group.
local other = parent.name ~= '' and parent.group ~= '' and not same
if same and (parent.at or 0) > teller.at or other and (teller.name == '' or parent.rank <= teller.rank) then
  return {'1', 0}
end
e.parent = teller
if parent.name == teller.name then
  store(g, name, e)
  return {'1', 0}
end
if name == g.object and g.storm == e then
  touch(g)
else
  e.revision = bump(g)
  store(g, name, e)
end
return {'1', commit(g)}
