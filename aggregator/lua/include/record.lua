-- The record of an alert: what the group remembers of it, packed, since its size is what a large storm costs. docs/design.md
-- describes the parts.
local RECORD = '^(.)(.)\31(%d+)\31(%d+)\31([^\31]*)\31(%-?%d+)\31([^\31]*)\31(.*)$'

local function get_record(g, fingerprint)
  local raw = redis.call('HGET', g.keys.alerts, fingerprint)
  local status, mark, at, generation, object, before, sources, rest = string.match(raw or '', RECORD)
  if not status then return nil end
  at = tonumber(at)
  return {status = status, mark = mark, at = at, generation = tonumber(generation), object = object,
    starts = at - tonumber(before), sources = sources, rest = rest}
end

local function put_record(g, fingerprint, r)
  redis.call('HSET', g.keys.alerts, fingerprint, table.concat({r.status .. r.mark, int(r.at), int(r.generation), r.object,
    int(r.at - r.starts), r.sources or '', r.rest}, '\31'))
end

-- live tells whether an alert fires and belongs to an open incident.
local function live(g, r)
  return r and r.status == 'f' and r.generation >= g.since and r.generation <= g.generation
end

-- member tells whether the storm, open or within its cooldown, counts the alert.
local function member(g, r) return live(g, r) or r and r.generation == g.generation and r.mark == 'm' end
