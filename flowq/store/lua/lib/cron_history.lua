-- lib/cron_history: the jobs that were created under the name of a cron entry
-- uses: -
local KEPT = 1000 -- ids of jobs kept per name
local YEAR = 31536000000

-- `at` is the slot of the job in ms, or the time of its creation.
function L.list_cron_job(name, id, at)
  local key = K.cron_jobs(name)
  call('ZADD', key, at, id)
  call('ZREMRANGEBYRANK', key, 0, -KEPT - 1)
  call('PEXPIRE', key, YEAR)
  call('ZADD', K.cron_names(), now, name)
  call('ZREMRANGEBYSCORE', K.cron_names(), '-inf', now - YEAR)
end
