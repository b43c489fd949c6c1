#!lua
-- import: gives back to Redis what it has forgotten of one incident, from its object in Kubernetes. Importing again changes
-- nothing. It comes in two ways. First, before anything of the group was decided: alerts wait (see fold), and what stands in
-- Kubernetes is all that is known. Later, when the shard is looked at once more: then an object that Redis does not know was
-- on its way when Redis was emptied, and what Redis has decided since stays.
--
-- KEYS 1 due index, 2 groups per policy, 3 epoch, 4-10 the group (see lib.lua)
-- ARGV 1 clock (ms, 0: Redis' own), 2 group id, 3 policy, 4 group labels (JSON), 5 the policy's numbers (JSON), 6 settings for
--      the projection (JSON), 7 object name, 8 entry (JSON, see lib.lua), 9 facts (JSON), 10 revision in Kubernetes,
--      11 common labels (JSON), 12 page: the object comes with page 0, at most 256 members with each; 'end' says that
--      all of the group's objects have been imported (7 to 11 are empty then); 'differs' that the open object of 7, which Redis
--      knew at revision 10, does not stand as it was written: it is to be written again (3 to 6, 9 and 11 are empty then, 8 is
--      its resourceVersion, '': it is gone),
--      13 1 for a policy's overflow group, 14 the object's resourceVersion, 15 and 16 of an incident of a single alert: when that
--      began (ms, 0: unknown), and what its record holds for Go; then for each member: fingerprint, f or r
-- Returns {imported 0|1, due (ms)}; imported is 0 when Redis knew the object already, with all its members.

local now = clock(ARGV[1])
local due, groups, gid, name = KEYS[1], KEYS[2], ARGV[2], ARGV[7]
local k = keys_at(4)

local g = load(k, due, gid, now)
if ARGV[12] == 'end' then
  if g.lost == '1' then
    set(g, 'lost', '0')
    save(g)
    -- A create may have been on its way: the shard is looked at once more.
    if redis.call('EXISTS', KEYS[3]) == 1 then redis.call('SET', KEYS[3], int(now)) end
  end
  return {1, 0}
end

-- again makes an open object one that has not been written: at the same revision, over the given resourceVersion.
local function again(e, rv)
  e.frev, e.rv, e.a = 0, rv, 1
  put_entry(g, name, e)
  redis.call('ZADD', k.todo, e.t == 'S' and 0 or 1, name)
end

if ARGV[12] == 'differs' then
  local e = get_entry(g, name)
  local same = e and e.s == 'open' and e.frev > 0 and e.frev == tonumber(ARGV[10]) -- Not written since it was read.
  if not same then return {0, 0} end
  again(e, ARGV[8])
  local at = reschedule(g, due, gid, now)
  save(g)
  return {1, at}
end

local first = g.lost == '1' or not imported(due, KEYS[3])
if not g.pol then
  if g.lost ~= '1' and ARGV[13] == '0' then redis.call('HINCRBY', groups, ARGV[3], 1) end
  set(g, 'pol', ARGV[3])
  set(g, 'lab', ARGV[4])
  set(g, 'ovf', ARGV[13])
  set(g, 'par', ARGV[5])
  set(g, 'opt', ARGV[6])
  begin(g)
  g.p = cjson.decode(ARGV[5])
  set(g, 'heard', now)
end

local function store(e, at)
  put_entry(g, name, e)
  redis.call('HSET', k.objects, name .. '#', ARGV[9])
  redis.call('ZADD', k.todo, int(at), name)
end

-- needed keeps an object that another one points at from being dropped as one that no pod was told to write.
local function needed(at)
  local e = get_entry(g, at)
  if e and not e.a then
    e.a = 1
    put_entry(g, at, e)
  end
end

-- over makes the object one that ends now, to be written.
local function over(e, state, why, by)
  if by then needed(by) end
  e.s, e.why, e.by, e.e, e.lc, e.rev = state, why, by, now, now, bump(g, now)
  store(e, 1)
end

-- superfluous ends an object without any alert: it came too late, for one that is over and was in another incident, or nobody
-- knows for which; that one will make an incident of its own.
local function superfluous(e)
  e.n, e.f = 0, 0
  over(e, 'resolved', 'AllResolved')
end

-- imported_only tells of a record that nothing but an object in Kubernetes, one that is over, has put there.
local function imported_only(r) return r.at == 0 and r.s == 'r' and r.m ~= 'm' end

-- home is the incident in which the alert of a record is, if Redis knows of one: its name and its entry.
local function home(r)
  if not r or r.m == 't' then return nil end
  if g.st ~= 'calm' and member(g, r) then return g.obj, get_entry(g, g.obj) end
  local at = r.m == 'm' and g.pn or r.obj
  local e = at and at ~= '' and get_entry(g, at)
  if e and e.s == 'absorbed' then
    at = e.by
    e = get_entry(g, at)
  end
  if e then return at, e end
end

-- part makes an incident of a single alert, over for less than the cooldown when the other one began, a part of that: had
-- all been known, it would have been reopened, or would have joined the storm.
local function part(at, e, began, by)
  if not e or e.t ~= 'A' or e.s ~= 'resolved' or e.why ~= 'AllResolved' or began >= e.e + g.p.cooldown then return end
  if not e.a then return drop_object(g, at) end
  needed(by)
  e.s, e.why, e.by, e.lc, e.rev = 'absorbed', nil, by, now, bump(g, now)
  put_entry(g, at, e)
  redis.call('ZADD', k.todo, 1, at)
end

-- alone is the record of the alert that a single incident is about, as far as Kubernetes knows it.
local function alone() return {at = 0, starts = tonumber(ARGV[15]), rest = ARGV[16]} end

-- adopt makes the object the open incident of its alert.
local function adopt(e, r)
  r = r or alone()
  r.s, r.m, r.gen, r.obj = 'f', '-', g.gen, name
  put_record(g, e.fp, r)
  if redis.call('ZCARD', k.open) == 0 then set(g, 'com', '') end
  redis.call('ZADD', k.open, int(math.max(e.at, g.pr + 1)), name)
  if e.rev > 0 then share(g, ARGV[11]) end
  if e.rev > 0 then return store(e, wants(g, e)) end
  e.rev, e.bare, e.lc = bump(g, now), 1, now
  store(e, 1)
end

local function import_single(e)
  if not e.fp then return superfluous(e) end
  local r = get_record(g, e.fp)
  local at, known = home(r)
  -- What is known of the alert is over, older than the object, and from Kubernetes like it.
  local older = known and r.at == 0 and r.s == 'r' and known.s == 'resolved' and known.rev < e.rev
  if known and not older then
    if known.t == 'A' and known.s == 'open' and not known.a then
      -- The same alert's, but no pod was told to write that one.
      drop_object(g, at)
      return adopt(e, r)
    end
    return over(e, 'absorbed', nil, at)
  end
  local ended = r and r.s ~= 'f' and not older and not imported_only(r)
  if ended and r.m == 't' and r.obj ~= '' then return superfluous(e) end
  if g.st == 'storm' then
    r = r or alone()
    r.s, r.m, r.gen, r.obj = ended and 'r' or 'f', 'm', g.gen, ''
    put_record(g, e.fp, r)
    set(g, 'n', g.n + 1)
    if r.s == 'f' then set(g, 'f', g.f + 1) end
    if e.rev > 0 then share(g, ARGV[11]) end
    set(g, 'srev', bump(g, now))
    redis.call('ZADD', k.todo, 0, g.obj)
    return over(e, 'absorbed', nil, g.obj)
  end
  if ended then
    r.s, r.m, r.gen, r.obj = 'r', '-', g.gen, name
    put_record(g, e.fp, r)
    return over(e, 'resolved', 'AllResolved')
  end
  if older then part(at, known, e.at, name) end
  if g.st == 'cool' then close(g) end -- An incident beside it is open: that storm will not be reopened.
  adopt(e, r)
end

local function import_storm(e)
  local current = g.st ~= 'calm' and get_entry(g, g.obj)
  if current and current.s ~= 'open' and first then
    close(g)
    current = nil
  end
  -- Of two, the older stays. One that no pod was told to write never comes to be.
  if current and current.a and current.at <= e.at then return over(e, 'absorbed', nil, g.obj) end
  if current and current.a then
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
  set(g, 'res', 0)
  set(g, 'obj', name)
  set(g, 'oat', e.at)
  set(g, 'pn', name)
  set(g, 'com', e.rev > 0 and ARGV[11] or '') -- Without a status nothing is known of its labels yet.
  set(g, 'qat', now + g.p.quiet)
  set(g, 'srev', bump(g, now))
  set(g, 'lch', now)
  set(g, 'pr', g.rev)
  if e.tr == 1 then set(g, 'cut', '{"*":0}') end
  set(g, 'tr', math.max(g.tr, e.tr or 0))
  set(g, 'x', math.max(g.x, e.x or 0))
  e.gen, e.since = g.gen, g.since
  store(e, 0)
end

-- import_over takes back an incident that is over, so that what is said again about its alerts changes nothing, and an alert
-- that fires within the cooldown reopens it.
local function import_over(e)
  if e.s == 'resolved' and not first then
    if e.t == 'S' and g.st ~= 'calm' then return over(e, 'absorbed', nil, g.obj) end
    local r = e.t == 'A' and e.fp and get_record(g, e.fp) or nil
    local at, known = home(r)
    if known and known.t == 'A' and known.s ~= 'absorbed' and not known.a then
      drop_object(g, at)
      r.obj, r.m, r.gen = name, '-', g.gen
      put_record(g, e.fp, r)
      if known.s == 'open' then
        e.s, e.why, e.e, e.n, e.f, e.lc, e.h, e.rev = 'open', nil, nil, nil, nil, now, now, bump(g, now)
        redis.call('ZADD', k.open, int(e.rev), name)
        return store(e, 1)
      end
    elseif known then
      return over(e, 'absorbed', nil, at)
    elseif r and r.m == 't' and r.obj ~= '' then
      return superfluous(e)
    end
  end
  store(e, e.e + g.p.retention)
  if e.t == 'S' and e.s == 'resolved' and e.why == 'AllResolved' and e.tr ~= 1 and now < e.e + g.p.cooldown + LATE and
    g.st == 'calm' and redis.call('ZCARD', k.open) == 0 then
    set(g, 'st', 'cool')
    set(g, 'obj', name)
    set(g, 'oat', e.at)
    set(g, 'pn', name)
    set(g, 'res', e.e)
    set(g, 'com', ARGV[11])
    e.gen, e.since = g.gen, g.since
    put_entry(g, name, e)
  end
end

if ARGV[12] == '0' then
  local e = get_entry(g, name)
  if e then
    local own = e.t == 'S' and name == g.obj and e.s == 'open'
    local rev = tonumber(ARGV[10])
    if rev > (own and g.srev or e.rev) then
      -- Written meanwhile by a pod that did not know that Redis had been emptied.
      set(g, 'rev', math.max(g.rev, rev))
      e.rev = bump(g, now)
      if own then set(g, 'srev', g.rev) end
      put_entry(g, name, e)
      redis.call('ZADD', k.todo, e.t == 'S' and 0 or 1, name)
    elseif e.s == 'open' and e.frev > 0 and rev <= e.frev and ARGV[14] ~= e.rv then
      again(e, ARGV[14]) -- Someone edited it, and kept our revision or took an older one.
    end
    local at = reschedule(g, due, gid, now)
    save(g)
    return {first and 1 or 0, at} -- A first import may have been interrupted between two pages.
  end
  e = cjson.decode(ARGV[8])
  e.a = 1
  set(g, 'rev', math.max(g.rev, tonumber(ARGV[10])))
  if e.s ~= 'open' then
    import_over(e)
  elseif e.t == 'A' then
    import_single(e)
  else
    import_storm(e)
  end
end

-- joins makes an alert a member of the storm, as the storm's object in Kubernetes lists it.
local function joins(fp, s)
  local r = get_record(g, fp)
  -- It is over and stands in an incident of its own, which its record does not name any more.
  if r and r.m == 't' and r.obj ~= '' then return end
  if r and not member(g, r) then
    local at, known = home(r)
    if at ~= name then part(at, known, get_entry(g, g.obj).st or 0, g.obj) end
  end
  if not r or imported_only(r) then
    put_record(g, fp, {s = s, m = 'm', at = 0, gen = g.gen, obj = '', starts = 0, rest = ''})
    set(g, 'n', g.n + 1)
    if s == 'f' then set(g, 'f', g.f + 1) end
  elseif not member(g, r) then
    -- It ended since: a member that is over, not an incident of its own.
    r.s, r.m, r.gen, r.obj = 'r', 'm', g.gen, ''
    put_record(g, fp, r)
    set(g, 'n', g.n + 1)
  end
end

-- past notes an alert of an incident that is over, unless Redis knows more of it: what is said again of its end is nothing
-- new. The object of a single alert may be reopened.
local function past(e, fp)
  local r = get_record(g, fp)
  local single = e.t == 'A' and e.why == 'AllResolved'
  local at, open = home(r)
  if single and open and (open.t == 'S' or open.s == 'open' and open.rev >= e.rev and at ~= name) then
    return part(name, e, open.st or open.at, at)
  elseif open and open.t == 'A' and open.s == 'open' and r.at == 0 and (open.bare or open.rev < e.rev) then
    -- An older incident of the alert: this one ended before all was written.
    open.s, open.by, open.e, open.lc, open.rev, open.f = 'absorbed', name, now, now, bump(g, now), 1
    put_entry(g, at, open)
    redis.call('ZREM', k.open, at)
    redis.call('ZREM', k.recent, fp)
    redis.call('ZADD', k.todo, 1, at)
    r.s, r.m, r.obj = 'r', single and '-' or 't', single and name or '1'
  elseif not r then
    if redis.call('HLEN', k.alerts) >= 2 * g.p.maxAlerts then return end
    r = {s = 'r', m = single and '-' or 't', at = 0, gen = g.gen, obj = single and name or '1', starts = 0, rest = ''}
  elseif r.m == 't' and r.obj == '' then
    -- Its end was said again before it was known for what.
    r.m, r.obj, r.gen = single and '-' or 't', single and name or int(r.at), g.gen
  elseif single and r.m == '-' and imported_only(r) then
    -- Two of one alert. The second would have been the first, reopened, had it been known: unless that was long ago.
    if open and open.rev >= e.rev then return part(name, e, open.at, at) end
    part(at, open, e.at, name)
    r.gen, r.obj = g.gen, name
  else
    return
  end
  put_record(g, fp, r)
end

local into = get_entry(g, name)
if into then
  set(g, 'imp', now)
  local storm = g.st ~= 'calm' and (g.obj == name or into.t == 'S' and into.s == 'absorbed' and into.by == g.obj)
  local n = g.n
  for i = 17, #ARGV, 2 do
    if storm then
      joins(ARGV[i], g.st == 'cool' and 'r' or ARGV[i + 1])
    elseif into.s == 'resolved' and now < into.e + math.max(g.p.quiet, g.p.cooldown) then
      past(into, ARGV[i])
    end
  end
  local e = storm and get_entry(g, g.obj)
  local second = e and g.n > 1 and not e.st -- With a threshold of 1, two incidents of one alert each are a storm.
  if storm and (g.n ~= n or second) then
    set(g, 'srev', bump(g, now))
    set(g, 'lch', now)
    redis.call('ZADD', k.todo, 0, g.obj)
    if second then e.st = now end
    if e.s ~= 'open' then e.rev, e.lc, e.n = g.srev, now, g.n end
    put_entry(g, g.obj, e)
  end
end
local at = reschedule(g, due, gid, now)
save(g)
return {1, at}
