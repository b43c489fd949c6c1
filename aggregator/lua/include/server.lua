-- #include shard

-- run_id identifies this Redis server. It changes with a restart or a failover, and is empty where INFO is forbidden.
local function run_id()
  local info = redis.pcall('INFO', 'server')
  return type(info) == 'string' and info:match('run_id:(%w+)') or ''
end

-- epoch_of returns the shard's epoch: '' when it has to be imported, 'again' when it was imported under another server, which
-- may have known more than this one.
local function epoch_of(due, epoch, server)
  if not imported(due, epoch) then return '' end
  if (redis.call('GET', server) or '') ~= run_id() then return 'again' end
  return redis.call('GET', epoch)
end
