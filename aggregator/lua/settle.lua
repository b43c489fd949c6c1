#!lua flags=allow-oom
-- #include incident
-- settle: tells a group what of a snapshot is in Kubernetes, and gives the lease back. It may run when Redis is out
-- of memory: it frees some.
--
-- KEYS  as group.lua says
-- ARGV  1 clock (ms, 0: Redis' own), 2 lease token, 3 delay (ms) before the next try (0: nothing failed), 4 group id,
--       then for each incident: name, revision in Kubernetes (0: the object is gone), its resourceVersion, its
--       namespace, what its outages were told (JSON, '': nothing)
-- Returns {1 when the caller had the lease, due (ms), now}. Confirmations count without the lease, too: what is in
--       Kubernetes is there, whoever wrote it.
local now, token, delay, id = clock(ARGV[1]), ARGV[2], tonumber(ARGV[3]), ARGV[4]

local g = load(group_keys(4), id, now)
if not g.policy then return {0, 0, now} end
for i = 5, #ARGV, 5 do
  local name, revision = ARGV[i], tonumber(ARGV[i + 1])
  local e = name == g.object and g.storm or get_entry(g, name)
  if e and revision == 0 and e.state ~= 'Firing' then
    if name == g.object then close(g) end -- A storm whose object is gone cannot be reopened.
    drop(g, name)
  elseif e then
    e.resourceVersion, e.namespace = ARGV[i + 2], ARGV[i + 3]
    if ARGV[i + 4] ~= '' then e.up = cjson.decode(ARGV[i + 4]) end
    if revision > e.revision then -- By a Redis that has been emptied since, or the clock is behind: ours goes above it.
      set(g, {revision = math.max(g.revision, revision)})
      e.revision = bump(g)
    else
      e.confirmed = math.max(e.confirmed, revision)
    end
    store(g, name, e)
  end
end
local held = g.lease == token
if held then set(g, {leaseUntil = 0, notBefore = delay > 0 and math.max(g.notBefore, now + delay) or g.notBefore}) end
local at = commit(g)
return {held and 1 or 0, at, now}
