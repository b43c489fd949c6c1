-- The sources of an alert: the alerts of the sender that have its identity. For each the record keeps the latest firing
-- report and the latest resolution. Both are maxima, so neither order nor repetition of events matters:
--   id  hex digits of the sender's fingerprint, '' when that is the identity
--   f s notifiedAt (ms) of the firing report, and its startsAt
--   r e notifiedAt (ms) of the resolution, and its endsAt

-- PEERS is how far apart (ms) two Alertmanagers of a pair may report the same moment: each waits 15 s longer than the one
-- before it, and what it reports may have been true a little earlier.
local PEERS = 180000

-- MAX_SOURCES bounds the sources that a record keeps.
local MAX_SOURCES = 6

-- get_sources reads those of a record. What was imported from Kubernetes has none.
local function get_sources(r)
  if not r or r.at == 0 then return {} end
  if string.sub(r.sources, 1, 1) == '[' then return cjson.decode(r.sources) end
  return r.status ~= 'r' and {{id = r.sources, f = r.at, s = r.starts}} or {}
end

-- put_sources puts them into a record: the id alone for a single one that has only ever fired, as most have.
local function put_sources(r, known)
  local x = known[1]
  local plain = #known == 1 and not x.r and x.f == r.at and x.s == r.starts
  r.sources = plain and x.id or cjson.encode(known)
end

-- fires_by tells whether an alert fires by one source: by its later report, unless both came within PEERS and their own
-- times say otherwise. A firing that began before the known end is over; a resolution that ended before the known start is
-- about an earlier firing.
local function fires_by(x)
  if not x.f then return false end
  if not x.r then return true end
  if x.f > x.r then return x.s > x.e or x.f - x.r > PEERS end
  return x.s > x.e and x.r - x.f <= PEERS
end

-- find_source returns the source of a report. A seventh takes the place of the one that has been silent longest, a
-- resolved one before a firing one.
local function find_source(known, id)
  local oldest, last = 1, math.huge
  for i, x in ipairs(known) do
    if x.id == id then return x end
    local at = math.max(x.f or 0, x.r or 0) + (fires_by(x) and 1e15 or 0)
    if at < last then oldest, last = i, at end
  end
  if #known >= MAX_SOURCES then table.remove(known, oldest) end
  known[#known + 1] = {id = id}
  return known[#known]
end

-- update joins a report with what is known of its source. It returns the source, and whether the report was news.
local function update(known, a)
  local x = find_source(known, a.source)
  if a.status == 'f' then
    local news = not x.f or a.at > x.f or a.starts > x.s
    x.f, x.s = math.max(x.f or a.at, a.at), math.max(x.s or a.starts, a.starts)
    return x, news
  end
  local e = a.ends > 0 and a.ends >= a.starts and math.min(a.at, a.ends) or a.at
  local news = not x.r or a.at > x.r or e > x.e
  x.r, x.e = math.max(x.r or a.at, a.at), math.max(x.e or e, e)
  return x, news
end
