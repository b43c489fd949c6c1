-- lib.lua: what the scripts share. It is put in front of each of them and stands alone for reading.
--
-- A group has seven keys, always passed side by side in this order, see keys.go:
--   g        hash   the group itself, fields below
--   alerts   hash   fingerprint -> record, see get_record
--   recent   zset   fingerprints of alerts that are over, by when they newly fired (calm groups only): see crowd
--   objects  hash   object name -> entry (JSON, see below); name .. '#' -> facts (JSON, written and read by Go)
--   open     zset   open incidents of single alerts, by the revision that opened them
--   todo     zset   object name by the time (ms) it wants attention; 0 and 1: it has to be written now
--   waiting  hash   fingerprint, source, f or r -> latest such word (JSON) about an alert that waits for the import, see wait
--
-- Fields of g, times in ms on Redis' clock:
--   pol lab ovf   policy, group labels (JSON), 1 for a policy's overflow group
--   par opt       the policy's numbers (JSON, see textOf in Go; durations in ms), its settings for the projection (JSON)
--   rev st        revision; state: calm, storm, or cool (resolved and still within the cooldown)
--   gen since     generation of the records, and the lowest one of which firing alerts are still members
--   obj oat       name of the storm's object, when it was opened
--   n f x tr      members, firing ones, alerts beyond maxAlerts (a lower bound), 1 if counts are lower bounds
--   cut           the sender's groups of which it left alerts out (JSON: group key -> notifiedAt; '*': not known any more)
--   srev lch      revision and time of the storm's last change
--   heard res     last event of the group, end of the storm
--   qat qmin      when the storm is next looked through for quiet alerts; while that goes on, the earliest last word
--   cur           where that, or the search for old tombstones, goes on
--   pn pr         what was open at revision pr is absorbed by pn
--   com           labels that all alerts have in common (JSON)
--   lease lu lrev lease token, its end, the revision for which a fold granted it
--   iv nf lf      flush interval, no flush before, last flush
--   there         how many of the other keys but waiting exist
--   lost imp      1 until the group has been imported, last import
--   ca cs co      what the group has added to the shard's numbers, see count
--   kind          the kind under which it is counted, '' while nothing is open, see place
--
-- An entry, times in ms:
--   t fp          A(lert) or S(torm), fingerprint of the alert that opened it
--   s why by      open, resolved or absorbed; reason of the end; absorbed by
--   at st e       opened, stormed, ended
--   ro ra         times reopened, last reopened
--   rev frev      revision wanted and confirmed
--   a             1 once a pod was told to write it
--   rv ns         resourceVersion, namespace
--   h lc          last heard, last change
--   gen since     generations of a storm's members
--   n f x tr com  counts and common labels of a storm that ended
--   bare          1 until the facts of the alert are known again (of an A that was imported without a status)
--
-- The hash of groups per policy also has fields that no policy can be named like: #A open incidents of single alerts in the
-- shard, #S open storms, #O overflow groups; @ and a kind counts the groups of that kind that have something open. A kind
-- says by which policy and labels alerts came to a group, see Kind in Go.

local NUMBERS = {'rev', 'gen', 'since', 'oat', 'n', 'f', 'x', 'tr', 'srev', 'lch', 'heard', 'res', 'qat', 'qmin', 'pr', 'lu',
  'lrev', 'iv', 'nf', 'lf', 'imp'}

-- int writes a number the way every script and Go reads it: whole, no exponent.
local format = string.format
local function int(x) return format('%.0f', x) end

-- clock is Redis' time in ms, or the given one (tests and replays bring their own clock).
local function clock(given)
  local t = tonumber(given)
  if t > 0 then return t end
  t = redis.call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end

local function keys_at(i)
  return {groups = KEYS[2], g = KEYS[i], alerts = KEYS[i + 1], recent = KEYS[i + 2], objects = KEYS[i + 3], open = KEYS[i + 4],
    todo = KEYS[i + 5], waiting = KEYS[i + 6]}
end

local function set(g, field, value)
  if g[field] ~= value then
    g[field] = value
    g.d[field] = true
  end
end

-- count brings what the group adds to the numbers of its shard to these. It remembers what it has added, so that a number
-- goes wrong only where Redis loses a group's hash and keeps the shard's.
local COUNTED = {{'ca', '#A'}, {'cs', '#S'}, {'co', '#O'}}
local function count(g, ...)
  for i, c in ipairs(COUNTED) do
    local more = select(i, ...) - tonumber(g[c[1]] or 0)
    if more ~= 0 then
      set(g, c[1], (select(i, ...)))
      if redis.call('HINCRBY', g.k.groups, c[2], more) <= 0 then redis.call('HDEL', g.k.groups, c[2]) end
    end
  end
end

-- place counts the group among those of its policy's kind, while it has something open.
local function place(g, open)
  local kind = open and g.p and g.p.kind or ''
  if (g.kind or '') == kind then return end
  if (g.kind or '') ~= '' and redis.call('HINCRBY', g.k.groups, '@' .. g.kind, -1) <= 0 then
    redis.call('HDEL', g.k.groups, '@' .. g.kind)
  end
  if kind ~= '' then redis.call('HINCRBY', g.k.groups, '@' .. kind, 1) end
  set(g, 'kind', kind)
end

-- others is how many of the group's other keys exist. The group remembers it, to tell when Redis has lost one of them: a key is
-- lost as a whole or not at all, and none comes to be outside of these scripts.
local function others(k) return redis.call('EXISTS', k.alerts, k.objects, k.open, k.todo, k.recent) end

-- begin makes a group one that nothing is known of.
local function begin(g)
  set(g, 'gen', 1)
  set(g, 'since', 1)
  set(g, 'iv', 0)
end

-- RETRY is the longest delay (ms) before a write that failed is tried again.
local RETRY = 10000

-- load reads the group. One whose keys are partly gone counts as emptied: what is left of it goes too, and lost is 1
-- until it has been imported from Kubernetes. What alerts that wait for that tell of their group is kept with them. set keeps what changed, save writes that in one command. The parameters are
-- those given, or those that it remembers.
local function load(k, due, gid, now, p)
  local g, flat = {d = {}, k = k}, redis.call('HGETALL', k.g)
  for i = 1, #flat, 2 do g[flat[i]] = flat[i + 1] end
  if others(k) ~= tonumber(g.there or 0) or #flat == 0 and redis.call('ZSCORE', due, gid) then
    count(g, 0, 0, 0)
    place(g, false)
    redis.call('UNLINK', k.g, k.alerts, k.recent, k.objects, k.open, k.todo)
    g = {d = {lost = true, rev = true}, k = k, lost = '1', rev = g.rev}
  end
  for _, f in ipairs(NUMBERS) do g[f] = tonumber(g[f] or 0) end
  g.waits = redis.call('EXISTS', k.waiting) == 1
  g.st = g.st or 'calm'
  if not g.pol and g.waits then
    for f, v in pairs(cjson.decode(redis.call('HGET', k.waiting, '#') or '{}')) do set(g, f, v) end
    if g.pol then begin(g) end
  end
  g.p = p or g.par and cjson.decode(g.par)
  -- After a step back of Redis' clock times may be ahead of it: none reaches further than its interval from now.
  for _, f in ipairs({'heard', 'res', 'lf'}) do set(g, f, math.min(g[f], now)) end
  if g.p then set(g, 'nf', math.min(g.nf, now + math.max(g.p.flushMax, g.p.hold, RETRY))) end
  return g
end

local function save(g)
  set(g, 'there', int(others(g.k)))
  local open = redis.call('ZCARD', g.k.open)
  count(g, open, g.st == 'storm' and 1 or 0, g.ovf == '1' and 1 or 0)
  place(g, open > 0 or g.st == 'storm')
  local args = {}
  for field in pairs(g.d) do
    local v = g[field]
    args[#args + 1] = field
    args[#args + 1] = type(v) == 'number' and int(v) or v
  end
  if #args > 0 then redis.call('HSET', g.k.g, unpack(args)) end
  g.d = {}
end

-- imported tells whether the shard has been imported from Kubernetes and its due index is still there: the import leaves
-- a mark in it.
local function imported(due, epoch)
  return redis.call('EXISTS', epoch) == 1 and redis.call('ZSCORE', due, '-')
end

-- server is the run id of this Redis: another one after a restart or a failover. It is empty where it may not be asked.
local function server()
  local info = redis.pcall('INFO', 'server')
  return type(info) == 'string' and info:match('run_id:(%w+)') or ''
end

-- epoch_of is the shard's epoch: '' when it has not been imported, 'again' when that was under another server, of which
-- this one may not have the last words.
local function epoch_of(due, epoch, under)
  if not imported(due, epoch) then return '' end
  if (redis.call('GET', under) or '') ~= server() then return 'again' end
  return redis.call('GET', epoch)
end

-- MOST is how many alerts one call works on.
local MOST = 256

-- wait keeps alerts until the group's incidents have been imported: of each source the latest firing word and the latest
-- resolution. It returns an error when there are too many.
local function wait(g, words, truncated)
  if redis.call('HLEN', g.k.waiting) + #words > 3 * g.p.maxAlerts + MOST then
    return redis.error_reply("WAITING the group's incidents have not been imported from Kubernetes yet, and too many alerts wait for it")
  end
  for _, a in ipairs(words) do
    local key = a.fp .. a.src .. a.s
    local raw = redis.call('HGET', g.k.waiting, key)
    local b = raw and cjson.decode(raw)
    if b then
      if b.at > a.at then a, b = b, a end
      a.tr = a.tr or b.tr
    end
    if truncated then a.tr = 1 end
    redis.call('HSET', g.k.waiting, key, cjson.encode(a))
  end
  redis.call('HSET', g.k.waiting, '#', cjson.encode({pol = g.pol, lab = g.lab, ovf = g.ovf, par = g.par, opt = g.opt}))
end

-- waited puts alerts that have waited before the words, the oldest first. It returns their labels (JSON), and whether an
-- event about one of them was truncated.
local function waited(g, words)
  local shared, truncated = {}, false
  if not g.waits then return shared, truncated end
  local page, older = redis.call('HRANDFIELD', g.k.waiting, MOST, 'WITHVALUES'), {}
  for i = 1, #page, 2 do
    if page[i] ~= '#' then
      local a = cjson.decode(page[i + 1])
      older[#older + 1] = a
      redis.call('HDEL', g.k.waiting, page[i])
      truncated = truncated or a.tr == 1
      local labels = cjson.decode(a.facts).labels
      if type(labels) == 'table' then shared[#shared + 1] = next(labels) and cjson.encode(labels) or '{}' end
    end
  end
  if redis.call('HLEN', g.k.waiting) == 1 then redis.call('UNLINK', g.k.waiting) end -- Its group's own field.
  table.sort(older, function(a, b)
    if a.at ~= b.at then return a.at < b.at end
    return a.fp .. a.s < b.fp .. b.s
  end)
  for i = #words, 1, -1 do words[i + #older] = words[i] end
  for i, a in ipairs(older) do words[i] = a end
  g.waits = redis.call('EXISTS', g.k.waiting) == 1
  return shared, truncated
end

-- bump takes the next revision: higher than every one before it, also after Redis was emptied.
local function bump(g, now)
  set(g, 'rev', math.max(g.rev + 1, now))
  return g.rev
end

-- A record: status f(iring), r(esolved) or c(losed while firing); m(ember of the storm), t(ombstone that was never
-- shown) or -; notifiedAt (ms) of the latest word; generation; object name (of a single alert; of a tombstone whose alert
-- had been in an incident: the notifiedAt (ms) up to which that knew it); startsAt, as ms before notifiedAt, which takes fewer
-- digits; what its sources said, see sources; and what only Go reads. Every byte of it counts: see TestMemoryPerAlert.
local RECORD = '^(.)(.)\31(%d+)\31(%d+)\31([^\31]*)\31(%-?%d+)\31([^\31]*)\31(.*)$'

local function get_record(g, fp)
  local raw = redis.call('HGET', g.k.alerts, fp)
  if not raw then return nil end
  local s, m, at, gen, obj, before, said, rest = string.match(raw, RECORD)
  if not s then return nil end
  at = tonumber(at)
  return {s = s, m = m, at = at, gen = tonumber(gen), obj = obj, starts = at - tonumber(before), said = said,
    rest = rest}
end

local function put_record(g, fp, r)
  redis.call('HSET', g.k.alerts, fp, table.concat({r.s .. r.m, int(r.at), int(r.gen), r.obj,
    int(r.at - r.starts), r.said or '', r.rest}, '\31'))
end

-- PEERS is how far apart (ms) two Alertmanagers of a pair may tell of the same moment: each waits 15 s longer than the one
-- before it, and what it tells may have been true a little earlier.
local PEERS = 180000

-- SOURCES is how many sources of one alert are remembered.
local SOURCES = 6

-- sources are those that an alert has been heard from. Of each we keep the latest firing word and the latest resolution:
-- id (hex digits of the sender's fingerprint, '' when that is the alert's own), f notifiedAt of the firing, s its startsAt,
-- r notifiedAt of the resolution, e its endsAt, all in ms. Only maxima are kept, so neither order nor repetition matters.
-- In a record: '' or the id alone for one that has only ever been firing, as the record says; otherwise all four of each,
-- as times before those of the record.
local function sources(r)
  if not r or r.at == 0 then return {} end -- What comes from Kubernetes yields to any word.
  if not string.find(r.said, ',', 1, true) then
    if r.s == 'r' then return {} end
    return {{id = r.said, f = r.at, s = r.starts}}
  end
  local out = {}
  for id, f, s, t, e in string.gmatch(r.said, '(%x*),([^,]*),([^,]*),([^,]*),([^;]*);') do
    f, s, t, e = tonumber(f), tonumber(s), tonumber(t), tonumber(e)
    out[#out + 1] = {id = id, f = f and r.at - f, s = s and r.at - s, r = t and r.at - t, e = e and r.at - e}
  end
  return out
end

-- keep_sources writes them into a record.
local function keep_sources(r, known)
  local x = known[1]
  if #known == 1 and not x.r and x.f == r.at and x.s == r.starts then
    r.said = x.id
    return
  end
  local out = {}
  local function before(t) return t and int(r.at - t) or '' end
  for _, k in ipairs(known) do
    out[#out + 1] = table.concat({k.id, before(k.f), before(k.s), before(k.r), before(k.e)}, ',') .. ';'
  end
  r.said = table.concat(out)
end

-- fires_by tells whether an alert fires by one source: by its later word, unless the two came within what peers differ by and
-- their own times tell otherwise. A firing that began before the known end is about what is over; a resolution that ended
-- before the known start is about an earlier firing.
local function fires_by(x)
  if not x.f then return false end
  if not x.r then return true end
  if x.f > x.r then return x.s > x.e or x.f - x.r > PEERS end
  return x.s > x.e and x.r - x.f <= PEERS
end

-- hear puts a word among those of its source, and tells whether it is news: later than what was known of its kind, or about
-- a later start or end.
local function hear(known, a)
  local x
  for _, k in ipairs(known) do
    if k.id == a.src then x = k end
  end
  if not x then
    x = {id = a.src}
    if #known >= SOURCES then -- The one that is longest silent goes, one that is over before one that fires.
      local oldest, last = 1, math.huge
      for i, k in ipairs(known) do
        local at = math.max(k.f or 0, k.r or 0) + (fires_by(k) and 1e15 or 0)
        if at < last then oldest, last = i, at end
      end
      table.remove(known, oldest)
    end
    known[#known + 1] = x
  end
  if a.s == 'f' then
    local news = not x.f or a.at > x.f or a.starts > x.s
    x.f, x.s = math.max(x.f or a.at, a.at), math.max(x.s or a.starts, a.starts)
    return x, news
  end
  local e = a.at
  if a.ends > 0 and a.ends >= a.starts then e = math.min(e, a.ends) end
  local news = not x.r or a.at > x.r or e > x.e
  x.r, x.e = math.max(x.r or a.at, a.at), math.max(x.e or e, e)
  return x, news
end

-- live tells whether the alert of a record fires and is in an incident that is open.
local function live(g, r) return r and r.s == 'f' and r.gen >= g.since and r.gen <= g.gen end

-- member tells whether the storm, open or within its cooldown, counts the alert of a record.
local function member(g, r) return live(g, r) or r and r.gen == g.gen and r.m == 'm' end

local function get_entry(g, name)
  local raw = redis.call('HGET', g.k.objects, name)
  return raw and cjson.decode(raw) or nil
end

local function put_entry(g, name, e)
  redis.call('HSET', g.k.objects, name, cjson.encode(e))
end

local function drop_object(g, name)
  redis.call('HDEL', g.k.objects, name, name .. '#')
  redis.call('ZREM', g.k.todo, name)
  redis.call('ZREM', g.k.open, name)
end

-- wants says when a clean object wants attention next: an open one at its deadline, an ended one at its deletion.
local function wants(g, e)
  if e.s ~= 'open' then return e.e + g.p.retention end
  local quiet = e.t == 'S' and (g.f > 0 and g.qat or g.heard + g.p.quiet) or e.h + g.p.quiet
  return math.min(quiet, e.at + g.p.maxDuration)
end

-- overdue is the reason for which an open object has to end by now, or nil. The alerts of a storm become quiet one by one, see
-- comb; a storm of which none fires is over when its group is quiet.
local function overdue(g, e, now)
  if e.t == 'A' and now >= e.h + g.p.quiet then return 'Quiet' end
  if e.t == 'S' and g.f == 0 and now >= g.heard + g.p.quiet then return 'Quiet' end
  if now >= e.at + g.p.maxDuration then return 'MaxDuration' end
  return nil
end

local function transition(out, kind, name, e, rev, total, firing)
  out[#out + 1] = {kind, name, e.ns, int(rev), total, firing, e.why or '', e.t, e.a or 0}
end

-- share narrows the common labels, what every alert since the group was last idle has in common, to those said of another one. It
-- returns true when labels were lost by that.
local function share(g, said)
  if g.com == said or (g.st == 'calm' and redis.call('ZCARD', g.k.open) == 0) then return false end
  if not g.com or g.com == '' then
    set(g, 'com', said)
    return false
  end
  local old, new, both, less = cjson.decode(g.com), cjson.decode(said), {}, false
  for l, v in pairs(old) do
    if new[l] == v then both[l] = v else less = true end
  end
  if less then set(g, 'com', next(both) and cjson.encode(both) or '{}') end
  return less
end

-- close forgets the storm: a new generation makes every record of it a thing of the past.
local function close(g)
  set(g, 'st', 'calm')
  set(g, 'gen', g.gen + 1)
  set(g, 'since', g.gen)
  set(g, 'obj', '')
  set(g, 'com', '')
  set(g, 'cut', '')
  for _, f in ipairs({'n', 'f', 'x', 'tr', 'res', 'oat', 'qat', 'qmin'}) do set(g, f, 0) end
end

-- The name of an object is derived here, once, from group and revision: 50 bits of their hash as 10 digits of base 32.
local DIGITS = 'abcdefghijklmnopqrstuvwxyz234567'
local function object_name(g, slug, rev)
  local gid = string.match(g.k.g, '[^:]+$')
  local n, s = tonumber(string.sub(redis.sha1hex(gid .. ':' .. int(rev)), 1, 13), 16), ''
  for _ = 1, 10 do
    local d = n % 32
    s = s .. string.sub(DIGITS, d + 1, d + 1)
    n = (n - d) / 32
  end
  return slug .. '-' .. s
end

-- follow opens the object that goes on in the place of one that has come to its maximum duration.
local function follow(g, name, e, now)
  local rev = bump(g, now)
  local new = {t = e.t, fp = e.t == 'A' and e.fp or nil, s = 'open', at = now, rev = rev, frev = 0, ns = e.ns, h = e.h,
    lc = now, ro = 0}
  local next = object_name(g, string.sub(name, 1, -12), rev)
  redis.call('HSET', g.k.objects, next .. '#', redis.call('HGET', g.k.objects, name .. '#') or '{}')
  redis.call('ZADD', g.k.todo, e.t == 'S' and 0 or 1, next)
  return next, new
end

-- absorb works on what was open when the last storm began, at most MOST of it and at most as many objects as given: what no
-- pod was told to write never comes to be, the others become part of the storm. It returns how many were absorbed, and how
-- many it looked at.
local function absorb(g, now, most, out)
  local n, pending = 0, redis.call('ZRANGEBYSCORE', g.k.open, '-inf', int(g.pr), 'LIMIT', 0, MOST)
  for _, name in ipairs(pending) do
    local e = get_entry(g, name)
    if not e or not e.a then
      drop_object(g, name)
    elseif n < most then
      n = n + 1
      e.s, e.by, e.e, e.lc, e.rev, e.f = 'absorbed', g.pn, now, now, bump(g, now), 1
      put_entry(g, name, e)
      redis.call('ZREM', g.k.open, name)
      redis.call('ZADD', g.k.todo, 1, name)
      transition(out, 'absorbed', name, e, e.rev, 1, 1)
    end
  end
  return n, #pending
end

-- end_storm resolves the storm's object. After AllResolved it may still be reopened for the cooldown. After MaxDuration what
-- fires goes on at once in another object: firing members of older generations are members still.
local function end_storm(g, why, now, out)
  local name, e = g.obj, get_entry(g, g.obj)
  set(g, 'srev', bump(g, now))
  e.s, e.why, e.e, e.lc, e.rev = 'resolved', why, now, now, g.srev
  e.n, e.f, e.x, e.tr, e.com, e.gen, e.since = g.n, g.f, g.x, g.tr, g.com, g.gen, g.since
  put_entry(g, name, e)
  redis.call('ZADD', g.k.todo, 0, name)
  transition(out, 'resolved', name, e, g.rev, g.n + g.x, g.f)
  if why == 'AllResolved' then
    set(g, 'st', 'cool')
    set(g, 'res', now)
  elseif why == 'MaxDuration' and g.f > 0 then
    absorb(g, now, MOST, out) -- What it has not absorbed yet belongs to it.
    local new
    name, new = follow(g, name, e, now)
    set(g, 'gen', g.gen + 1)
    set(g, 'obj', name)
    set(g, 'pn', name)
    set(g, 'oat', now)
    set(g, 'n', g.f)
    set(g, 'x', 0)
    set(g, 'srev', new.rev)
    set(g, 'lch', now)
    new.gen, new.since, new.st = g.gen, g.since, g.n > 1 and now or nil
    put_entry(g, name, new)
    transition(out, g.n > 1 and 'storm' or 'opened', name, new, new.rev, g.n, g.f)
  else
    close(g)
  end
  set(g, 'nf', math.min(g.nf, math.max(now, g.lf + g.p.flushMin)))
end

-- end_single resolves the object of one alert; e is changed in place and kept.
local function end_single(g, name, e, why, now, out)
  e.s, e.why, e.e, e.lc, e.rev = 'resolved', why, now, now, bump(g, now)
  e.f = why == 'AllResolved' and 0 or 1
  put_entry(g, name, e)
  redis.call('ZREM', g.k.open, name)
  redis.call('ZADD', g.k.todo, 1, name)
  transition(out, 'resolved', name, e, g.rev, 1, e.f)
end

-- expire ends an open incident of a single alert whose time is up, if it is. An alert that still fires after the maximum duration
-- is in another incident at once. It returns whether the incident ended.
local function expire(g, name, e, now, out)
  local why = overdue(g, e, now)
  if not why then return false end
  end_single(g, name, e, why, now, out)
  local r = get_record(g, e.fp)
  if not (r and r.s == 'f' and r.obj == name) then return true end
  if why == 'MaxDuration' then
    local new
    r.obj, new = follow(g, name, e, now)
    put_entry(g, r.obj, new)
    redis.call('ZADD', g.k.open, int(new.rev), r.obj)
    transition(out, 'opened', r.obj, new, new.rev, 1, 1)
  else
    r.s = 'c'
  end
  put_record(g, e.fp, r)
  return true
end

-- LATE is how much later (ms) a sender tells of a firing than it began: Alertmanager's group_interval as it ships.
local LATE = 300000

-- reopens tells whether an alert that fires reopens what ended at that time: it began, or is told of, within the cooldown.
local function reopens(g, a, ended, now)
  local last = ended + g.p.cooldown
  return now < last or a.starts < last and now < last + LATE
end

-- late says whether the storm's time may be up: overdue knows, and why.
local function late(g, now)
  return now >= g.oat + g.p.maxDuration or g.f == 0 and now >= g.heard + g.p.quiet
end

-- age applies what time alone has done to the storm.
local function age(g, now, out)
  if g.st == 'storm' and late(g, now) then
    local e = get_entry(g, g.obj)
    local why = e and overdue(g, e, now)
    if why then end_storm(g, why, now, out) end
  end
  if g.st == 'cool' and now >= g.res + g.p.cooldown + LATE then close(g) end
end

-- reschedule writes the group's time in the due index. A group with nothing left to do stays until its tombstones
-- have served their time; then the snapshot removes it.
local function reschedule(g, due, gid, now)
  local at
  local first = redis.call('ZRANGE', g.k.todo, 0, 0, 'WITHSCORES')
  if #first > 0 then
    at = tonumber(first[2])
    -- Only writing waits for the flush interval; a deadline comes when it comes.
    if at <= 1 then at = math.max(g.nf, 0) end
  end
  if redis.call('ZCOUNT', g.k.open, '-inf', int(g.pr)) > 0 then at = math.min(at or g.nf, g.nf) end
  if g.st ~= 'storm' and redis.call('ZCARD', g.k.open) == 0 and
    (not at or redis.call('EXISTS', g.k.alerts) == 1) then
    at = math.min(at or math.huge, math.max(g.heard + g.p.quiet, g.st == 'cool' and g.res + g.p.cooldown + LATE or 0))
  end
  if g.waits then at = 0 end
  if g.lu > now then at = math.max(at or 0, g.lu) end
  redis.call('ZADD', due, int(at), gid)
  return at
end
