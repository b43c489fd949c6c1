-- lib.lua: what the scripts share. It is put in front of each of them and stands alone for reading.
--
-- A group has seven keys, always passed side by side in this order, see keys.go:
--   g        hash   the group itself, fields below
--   alerts   hash   fingerprint -> record, see unpack_record
--   recent   zset   fingerprints that newly fired, by arrival (calm groups only)
--   objects  hash   object name -> entry (JSON, see below); name .. '#' -> facts (JSON, written and read by Go)
--   open     zset   open incidents of single alerts, by the revision that opened them
--   todo     zset   object name by the time (ms) it wants attention; 0 and 1: it has to be written now
--   waiting  hash   fingerprint -> latest word (JSON) about an alert that waits for the import, see wait
--
-- Fields of g: pol policy, lab group labels (JSON), ovf 1 if this is a policy's overflow group, opt settings of the policy for the projection (JSON), par the policy's numbers
-- (JSON, see params in Go; durations in ms), rev revision, st state (calm, storm, cool: resolved and still within the cooldown), gen generation of
-- the records, obj name of the storm's object, n members, f firing ones, x members beyond maxAlerts (a lower bound),
-- tr 1 if counts are lower bounds, srev and lch revision and time (ms) of the storm's last change, heard last word (ms), res end of the storm
-- (ms), lost 1 until the group has been imported, imp last import (ms), there how many of the other keys but waiting exist, oat when the
-- storm's object was opened (ms), cur where the search for old tombstones goes on, pn and pr: what was open at
-- revision pr is absorbed by pn, crowd 1 when an import found enough open incidents for a storm, com common labels (JSON), lease and lu lease token and its end (ms), lrev
-- revision for which a fold granted it, iv flush interval (ms), nf no flush before (ms), lf last flush (ms).
--
-- An entry: t A(lert) or S(torm), fp fingerprint of the alert that opened it, s open|resolved|absorbed, at opened (ms), st stormed (ms),
-- e ended (ms), why reason of the end, by absorbed by, ro reopened (times), ra last reopened (ms), rev and frev revision wanted and confirmed,
-- a 1 once a pod was told to write it, rv resourceVersion, ns namespace, h last heard (ms), lc last change (ms),
-- gen generation (of an S), n, f, x, tr, com: counts and common labels when it ended, bare 1 until the facts of the alert
-- are known again (of an A that was imported without a status).
--
-- The hash of groups per policy also has fields that no policy can be named like: #A open incidents of single alerts in the
-- shard, #S open storms, #O overflow groups. ca, cs and co of a group are what it has added to them.

local NUMBERS = {'rev', 'imp', 'oat', 'gen', 'n', 'f', 'x', 'tr', 'srev', 'lch', 'heard', 'res', 'pr', 'lu', 'lrev', 'iv', 'nf', 'lf'}

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

-- others is how many of the group's other keys exist. The group remembers it, to tell when Redis has lost one of them: a key is
-- lost as a whole or not at all, and none comes to be outside of these scripts.
local function others(k) return redis.call('EXISTS', k.alerts, k.objects, k.open, k.todo, k.recent) end

-- load reads the group. One whose keys are partly gone counts as emptied: what is left of it goes too, and lost is 1
-- until it has been imported from Kubernetes. set keeps what changed, save writes that in one command. The parameters are
-- those given, or those that it remembers.
local function load(k, due, gid, p)
  local g, flat = {d = {}, k = k}, redis.call('HGETALL', k.g)
  for i = 1, #flat, 2 do g[flat[i]] = flat[i + 1] end
  if others(k) ~= tonumber(g.there or 0) or #flat == 0 and redis.call('ZSCORE', due, gid) then
    count(g, 0, 0, 0)
    redis.call('UNLINK', k.g, k.alerts, k.recent, k.objects, k.open, k.todo)
    g = {d = {lost = true, rev = true}, k = k, lost = '1', rev = g.rev}
  end
  for _, f in ipairs(NUMBERS) do g[f] = tonumber(g[f] or 0) end
  g.waits = redis.call('EXISTS', k.waiting) == 1
  g.st = g.st or 'calm'
  g.p = p or g.par and cjson.decode(g.par)
  return g
end

local function save(g)
  set(g, 'there', int(others(g.k)))
  count(g, redis.call('ZCARD', g.k.open), g.st == 'storm' and 1 or 0, g.ovf == '1' and 1 or 0)
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

-- wait keeps alerts until the group's incidents have been imported: the latest word about each, and of two at the same time
-- the resolution. It returns an error when there are too many.
local function wait(g, words, truncated)
  if redis.call('HLEN', g.k.waiting) + #words > 3 * g.p.maxAlerts + MOST then
    return redis.error_reply("WAITING the group's incidents have not been imported from Kubernetes yet, and too many alerts wait for it")
  end
  for _, a in ipairs(words) do
    local raw = redis.call('HGET', g.k.waiting, a.fp)
    local b = raw and cjson.decode(raw)
    if b then
      if b.at > a.at or b.at == a.at and b.s == 'r' then a, b = b, a end
      if b.s == 'f' and a.s == 'f' then a.starts = math.min(a.starts, b.starts) end
      a.tr = a.tr or b.tr
    end
    if truncated then a.tr = 1 end
    redis.call('HSET', g.k.waiting, a.fp, cjson.encode(a))
  end
end

-- waited puts alerts that have waited before the words, the oldest first. It returns their labels (JSON), and whether an
-- event about one of them was truncated.
local function waited(g, words)
  local shared, truncated = {}, false
  if not g.waits then return shared, truncated end
  local page, older = redis.call('HRANDFIELD', g.k.waiting, MOST, 'WITHVALUES'), {}
  for i = 1, #page, 2 do
    local a = cjson.decode(page[i + 1])
    older[#older + 1] = a
    redis.call('HDEL', g.k.waiting, page[i])
    truncated = truncated or a.tr == 1
    local labels = cjson.decode(a.facts).labels
    if type(labels) == 'table' then shared[#shared + 1] = next(labels) and cjson.encode(labels) or '{}' end
  end
  table.sort(older, function(a, b) return a.at < b.at or a.at == b.at and a.fp < b.fp end)
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
-- shown) or -; notifiedAt (ms); generation; object name (of a single alert; of a tombstone whose alert had been in an
-- incident: the notifiedAt (ms) up to which that knew it); startsAt, as seconds before notifiedAt, which takes fewer
-- digits; and what only Go reads. Every byte of it counts: see TestMemoryPerAlert.
local RECORD = '^(.)(.)\31(%d+)\31(%d+)\31([^\31]*)\31(%-?%d+)\31(.*)$'

local function get_record(g, fp)
  local raw = redis.call('HGET', g.k.alerts, fp)
  if not raw then return nil end
  local s, m, at, gen, obj, before, rest = string.match(raw, RECORD)
  if not s then return nil end
  at = tonumber(at)
  return {s = s, m = m, at = at, gen = tonumber(gen), obj = obj, starts = math.floor(at / 1000) - tonumber(before), rest = rest}
end

local function put_record(g, fp, r)
  redis.call('HSET', g.k.alerts, fp, table.concat({r.s .. r.m, int(r.at), int(r.gen), r.obj,
    int(math.floor(r.at / 1000) - r.starts), r.rest}, '\31'))
end

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
  local heard = e.t == 'S' and g.heard or e.h
  return math.min(heard + g.p.quiet, e.at + g.p.maxDuration)
end

-- overdue is the reason for which an open object has to end by now, or nil.
local function overdue(g, e, now)
  if now >= e.at + g.p.maxDuration then return 'MaxDuration' end
  if now >= (e.t == 'S' and g.heard or e.h) + g.p.quiet then return 'Quiet' end
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
  set(g, 'obj', '')
  set(g, 'com', '')
  for _, f in ipairs({'n', 'f', 'x', 'tr', 'res', 'oat'}) do set(g, f, 0) end
end

-- end_storm resolves the storm's object. After AllResolved it may still be reopened for the cooldown.
local function end_storm(g, why, now, out)
  local e = get_entry(g, g.obj)
  set(g, 'srev', bump(g, now))
  e.s, e.why, e.e, e.lc, e.rev = 'resolved', why, now, now, g.srev
  e.n, e.f, e.x, e.tr, e.com = g.n, g.f, g.x, g.tr, g.com
  put_entry(g, g.obj, e)
  redis.call('ZADD', g.k.todo, 0, g.obj)
  transition(out, 'resolved', g.obj, e, g.rev, g.n + g.x, g.f)
  if why == 'AllResolved' then
    set(g, 'st', 'cool')
    set(g, 'res', now)
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

-- late says whether the storm's time may be up: overdue knows, and why.
local function late(g, now) return now >= math.min(g.oat + g.p.maxDuration, g.heard + g.p.quiet) end

-- age applies what time alone has done to the storm.
local function age(g, now, out)
  if g.st == 'storm' and late(g, now) then
    local e = get_entry(g, g.obj)
    local why = e and overdue(g, e, now)
    if why then end_storm(g, why, now, out) end
  end
  if g.st == 'cool' and now >= g.res + g.p.cooldown then close(g) end
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
    at = math.min(at or math.huge, math.max(g.heard + g.p.quiet, g.res + g.p.cooldown))
  end
  if g.waits then at = 0 end
  if g.lu > now then at = math.max(at or 0, g.lu) end
  redis.call('ZADD', due, int(at), gid)
  return at
end
