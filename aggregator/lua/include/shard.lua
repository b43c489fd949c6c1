-- #include base
-- imported tells whether the shard has been imported from Kubernetes. The import leaves a mark in the due index: without the
-- mark the index has been lost.
local function imported(due, epoch)
  return redis.call('EXISTS', epoch) == 1 and redis.call('ZSCORE', due, '-') ~= false
end
