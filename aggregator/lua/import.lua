#!lua
-- import: gives back to Redis what it has forgotten of one incident, from its object in Kubernetes. Alerts may have been
-- folded into the group since; what they said is newer than the object. Importing again changes nothing.
--
-- KEYS 1 due index, 2 groups per policy, 3 epoch, 4-9 the group (see lib.lua)
-- ARGV 1 clock (ms, 0: Redis' own), 2 group id, 3 policy, 4 group labels (JSON), 5 parameters (see PARAMS), 6 settings for
--      the projection (JSON), 7 object name, 8 entry (JSON, see lib.lua), 9 facts (JSON), 10 revision in Kubernetes,
--      11 common labels (JSON), 12 page: the object comes with page 0, at most 256 members with each, 'end' says that
--      all of the group's objects have been imported (7 to 11 are empty then),
--      13 1 for a policy's overflow group; then for each member: fingerprint, f or r
-- Returns {imported 0|1, due (ms)}; imported is 0 when Redis knew the object already.

local now = clock(ARGV[1])
local due, groups, gid, name = KEYS[1], KEYS[2], ARGV[2], ARGV[7]
local k = keys_at(4)

local g = load(k, due, gid)
if ARGV[12] == 'end' then
  if g.lost == '1' then
    set(g, 'lost', '0')
    save(g)
  end
  return {1, 0}
end
if not g.pol then
  if g.lost ~= '1' and ARGV[13] == '0' then redis.call('HINCRBY', groups, ARGV[3], 1) end
  set(g, 'pol', ARGV[3])
  set(g, 'lab', ARGV[4])
  set(g, 'ovf', ARGV[13])
  set(g, 'par', ARGV[5])
  set(g, 'opt', ARGV[6])
  set(g, 'gen', 1)
  g.p = unpack_params(ARGV[5])
  set(g, 'iv', g.p.flushMin)
  set(g, 'heard', now)
end

local function store(e, at)
  put_entry(g, name, e)
  redis.call('HSET', k.objects, name .. '#', ARGV[9])
  redis.call('ZADD', k.todo, int(at), name)
end

-- over marks the object as one that ends now, to be written.
local function over(e, state, why, by)
  e.s, e.why, e.by, e.e, e.lc, e.rev = state, why, by, now, now, bump(g, now)
  store(e, 1)
end

-- written is true for an object that a pod was told to write since Redis was emptied.
local function written(e) return e and e.a end

local function import_single(e)
  -- Created and never given a status: nobody knows any more which alert it was for. That will make an incident of its own.
  if not e.fp then return over(e, 'resolved', 'Quiet') end
  local r = get_record(g, e.fp)
  if g.st == 'storm' then
    if not r then
      set(g, 'n', g.n + 1)
      set(g, 'f', g.f + 1)
      put_record(g, e.fp, {s = 'f', m = 'm', at = 0, gen = g.gen, obj = '', starts = 0, rest = ''})
      set(g, 'srev', bump(g, now))
      redis.call('ZADD', k.todo, 0, g.obj)
    end
    return over(e, 'absorbed', nil, g.obj)
  end
  local since = r and r.obj ~= '' and r.gen == g.gen and get_entry(g, r.obj)
  if written(since) then return over(e, 'absorbed', nil, r.obj) end
  if since then drop_object(g, r.obj) end
  if r and r.s ~= 'f' then
    if since then
      r.obj = name
      put_record(g, e.fp, r)
    end
    return over(e, 'resolved', 'AllResolved')
  end
  r = r or {s = 'f', m = '-', at = 0, starts = 0, rest = ''}
  r.gen, r.obj = g.gen, name
  put_record(g, e.fp, r)
  redis.call('ZADD', k.open, int(bump(g, now)), name)
  store(e, wants(g, e))
end

local function import_storm(e)
  local current = g.st ~= 'calm' and get_entry(g, g.obj)
  if written(current) and current.at <= e.at then return over(e, 'absorbed', nil, g.obj) end
  if written(current) then
    current.s, current.by, current.e, current.lc, current.rev = 'absorbed', name, now, now, bump(g, now)
    put_entry(g, g.obj, current)
    redis.call('ZADD', k.todo, 1, g.obj)
  elseif current then
    drop_object(g, g.obj)
  end
  if g.st == 'calm' then
    -- What was opened since joins the storm; what of it was not written yet never comes to be.
    set(g, 'n', redis.call('ZCOUNT', k.open, '(' .. int(g.pr), '+inf'))
    set(g, 'f', g.n)
    redis.call('DEL', k.recent)
  end
  set(g, 'st', 'storm')
  set(g, 'obj', name)
  set(g, 'pn', name)
  set(g, 'com', ARGV[11])
  set(g, 'srev', bump(g, now))
  set(g, 'lch', now)
  set(g, 'pr', g.rev)
  set(g, 'tr', math.max(g.tr, e.tr or 0))
  set(g, 'x', math.max(g.x, e.x or 0))
  e.gen = g.gen
  store(e, 0)
end

if ARGV[12] == '0' then
  if redis.call('HEXISTS', k.objects, name) == 1 then
    local at = reschedule(g, due, gid, now)
    save(g)
    return {0, at}
  end
  local e = cjson.decode(ARGV[8])
  e.a = 1
  set(g, 'rev', math.max(g.rev, tonumber(ARGV[10])))
  if e.s ~= 'open' then
    store(e, e.e + g.p.retention)
  elseif e.t == 'A' then
    import_single(e)
  else
    import_storm(e)
  end
end

local into = get_entry(g, name)
if g.obj == name or into and into.t == 'S' and into.s == 'absorbed' and into.by == g.obj and g.st == 'storm' then
  for i = 14, #ARGV, 2 do
    local fp, s = ARGV[i], ARGV[i + 1]
    local r = get_record(g, fp)
    if not r then
      put_record(g, fp, {s = s, m = 'm', at = 0, gen = g.gen, obj = '', starts = 0, rest = ''})
      set(g, 'n', g.n + 1)
      if s == 'f' then set(g, 'f', g.f + 1) end
    elseif r.m ~= 'm' and not (r.gen == g.gen and r.s == 'f') then
      -- It ended since: a member that is over, not an incident of its own.
      local since = r.obj ~= '' and get_entry(g, r.obj)
      if since and not written(since) then drop_object(g, r.obj) end
      r.s, r.m, r.gen, r.obj = 'r', 'm', g.gen, ''
      put_record(g, fp, r)
      set(g, 'n', g.n + 1)
    end
  end
end
local at = reschedule(g, due, gid, now)
save(g)
return {1, at}
