-- job/create_in_pipeline: creates a plain job as a part of a pipeline of the user's
-- edges: -
-- args: those of create
-- guard: that of create
-- replies: those of create where it is done; an error where it is refused
-- uses: job/create
-- rights: set hincrby hset sadd zadd llen rpush xadd
-- The client has no other place to see a refusal: a pipeline raises the errors among its replies.
local REFUSALS = {
  conflict = 'a job with this id exists already, it is ',
  not_found = 'it depends on a job that does not exist: ',
  cycle = 'it would wait for itself: ',
}

function T.create_in_pipeline()
  local id = ARGV[3] -- after incarnation and nonce
  local reply = L.create()
  L.drain(100)
  local refused = REFUSALS[reply[1]]
  if not refused then return reply end
  local detail = reply[2] ~= '' and reply[2] or 'too many jobs depend on it to say'
  return redis.error_reply('FLOWQREFUSED job ' .. id .. ' was not enqueued: ' .. refused .. detail)
end
