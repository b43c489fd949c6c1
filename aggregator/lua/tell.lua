#!lua flags=allow-oom
-- #include incident
-- tell: tells an incident of which outage it is a part. Of several the one of the policy that comes first counts.
--
-- KEYS  as group.lua says
-- ARGV  1 clock (ms, 0: Redis' own), 2 group id, 3 name of the incident, 4 the teller (JSON: group, rank of its policy,
--       name of the outage, '' when the incident is no longer a part of one of that group)
-- Returns {'1', due (ms, 0: nothing changed)}, {'0', 0} when the incident is not known or absorbed, or {'wait', 0}
--       while the shard has to be imported
local now, id, name, teller = clock(ARGV[1]), ARGV[2], ARGV[3], cjson.decode(ARGV[4])
local g = load(group_keys(4), id, now)
if not imported(due, epoch) then return {'wait', 0} end
local e = g.policy and (name == g.object and g.storm or get_entry(g, name))
if not e or e.state == 'Absorbed' then return {'0', 0} end
local parent = e.parent
if teller.name == '' then
  if not parent or parent.group ~= teller.group then return {'1', 0} end
  e.parent = nil
elseif parent and parent.group ~= teller.group and parent.rank <= teller.rank and parent.group ~= '' then
  return {'1', 0}
elseif parent and parent.name == teller.name then
  if parent.group ~= teller.group then -- Kubernetes knew the name alone.
    e.parent = teller
    store(g, name, e)
  end
  return {'1', 0}
else
  e.parent = teller
end
if name == g.object and g.storm == e then
  touch(g)
else
  e.revision = bump(g)
  store(g, name, e)
end
return {'1', commit(g)}
