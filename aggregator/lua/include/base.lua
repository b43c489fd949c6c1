-- int writes a number as digits, without an exponent.
local function int(x) return string.format('%.0f', x) end

-- clock returns the given time (ms), or Redis' own for 0. Tests and replays bring their own clock.
local function clock(given)
  if tonumber(given) > 0 then return tonumber(given) end
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end
