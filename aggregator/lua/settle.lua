#!lua flags=allow-oom
-- settle: tells a group what of a snapshot stands in Kubernetes, and gives the lease back. It may run when Redis is out of
-- memory: it frees some.
--
-- KEYS 1 due index, 2 groups per policy, 3 epoch, 4-10 the group (see lib.lua)
-- ARGV 1 clock (ms, 0: Redis' own), 2 lease token, 3 delay (ms) before the next try (0: none failed), 4 group id, then
--      for each object: name, revision that stands in Kubernetes (0: the object is gone), its resourceVersion, its namespace
-- Returns {held 0|1, due (ms), now}; held is 0 when the lease had passed to another pod, which does not matter for what is
--      confirmed: what stands in Kubernetes stands there whoever wrote it.

local now = clock(ARGV[1])
local due, gid = KEYS[1], ARGV[4]
local k = keys_at(4)

local g = load(k, due, gid, now)
if not g.pol then
  if g.lost == '1' then save(g) end
  return {0, 0, now}
end

for i = 5, #ARGV, 4 do
  local name, rev = ARGV[i], tonumber(ARGV[i + 1])
  local e = get_entry(g, name)
  if e then
    local own = e.t == 'S' and name == g.obj and e.s == 'open'
    local wanted = own and g.srev or e.rev
    if rev == 0 and e.s ~= 'open' then
      drop_object(g, name)
      -- A storm whose object is gone cannot be reopened.
      if name == g.obj then close(g) end
    else
      if rev > wanted then
        -- Not a revision of this Redis: someone else's, from before it was emptied, or this Redis' clock is behind. Ours
        -- goes above it and is due.
        set(g, 'rev', math.max(g.rev, rev))
        e.rev = bump(g, now)
        if own then set(g, 'srev', g.rev) end
        wanted = g.rev
        rev = 0
      end
      e.frev = math.max(e.frev, rev)
      e.rv, e.ns = ARGV[i + 2], ARGV[i + 3]
      put_entry(g, name, e)
      redis.call('ZADD', k.todo, wanted > e.frev and (e.t == 'S' and 0 or 1) or int(wants(g, e)), name)
    end
  end
end

local held = g.lease == ARGV[2] and 1 or 0
if held == 1 then
  set(g, 'lu', 0)
  if tonumber(ARGV[3]) > 0 then set(g, 'nf', math.max(g.nf, now + tonumber(ARGV[3]))) end
end
local at = reschedule(g, due, gid, now)
save(g)
return {held, at, now}
