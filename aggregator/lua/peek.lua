#!lua flags=no-writes
-- peek: tells what is known of a group, and of one alert in it, at one moment. It changes nothing: what time alone has done
-- since (an end by quiet, a cooldown that is over) shows once somebody folds or takes a snapshot.
--
-- KEYS 1 due index, 2 groups per policy, 3 epoch, 4-10 the group (see lib.lua)
-- ARGV 1 clock (ms, 0: Redis' own), 2 group id, 3 fingerprint
-- Returns {now, imported 0|1, known 0|1, due (ms, 0: never), alerts that wait for the import} and, for a group that is known,
--      {..., state (waiting while it has to be imported), revision, policy, group labels (JSON), overflow 0|1, parameters
--      (JSON, see params in Go), alerts that count towards a storm, when the oldest of them that is over newly fired (ms, 0: none), storm's object, members, firing, beyond,
--      open incidents of single alerts, last heard (ms), end of the storm (ms), status of the alert's record ('': none, f, r
--      or c), its notifiedAt (ms), 1 if it is a member of the storm, the alert's object, that object's entry (JSON)}

local now = clock(ARGV[1])
local due, gid, fp = KEYS[1], ARGV[2], ARGV[3]
local g = {k = keys_at(4)}
local out = {int(now), imported(due, KEYS[3]) and 1 or 0, 0, int(tonumber(redis.call('ZSCORE', due, gid) or 0)), math.max(0, redis.call('HLEN', g.k.waiting) - 1)}
local flat = redis.call('HGETALL', g.k.g)
for i = 1, #flat, 2 do g[flat[i]] = flat[i + 1] end
if not g.pol or not g.par then return out end
out[3] = 1
local p = cjson.decode(g.par)
local state = g.st or 'calm'
if g.lost == '1' or out[2] == 0 then state = 'waiting' end
local since = '(' .. int(now - p.window)
local oldest = redis.call('ZRANGEBYSCORE', g.k.recent, since, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
local crowd = redis.call('ZCOUNT', g.k.recent, since, '+inf') + redis.call('ZCOUNT', g.k.open, '(' .. (g.pr or '0'), '+inf')
local r = get_record(g, fp)
g.gen, g.since = tonumber(g.gen or 0), tonumber(g.since or 0)
local member = state ~= 'calm' and member(g, r)
local object = member and g.obj or r and r.m == '-' and r.obj or ''
local more = {state, g.rev or '0', g.pol, g.lab or '', g.ovf or '0', g.par, crowd,
  int(tonumber(oldest[2] or 0)), g.obj or '', g.n or '0', g.f or '0', g.x or '0', redis.call('ZCARD', g.k.open), g.heard or '0', g.res or '0',
  r and r.s or '', int(r and r.at or 0), member and 1 or 0, object, object ~= '' and redis.call('HGET', g.k.objects, object) or ''}
for _, v in ipairs(more) do out[#out + 1] = v end
return out
