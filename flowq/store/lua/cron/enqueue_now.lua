-- cron/enqueue_now: creates a job of a cron entry at the request of a client, whatever its schedule says
-- edges: -
-- args: name, then those of create
-- guard: those of create
-- replies: those of create
-- uses: job/create lib/cron_history
function T.enqueue_now()
  local name, id = A.text(), ARGV[A.at + 2] -- create reads it again: nonce, id, …
  local reply = L.create()
  if reply[1] == 'done' then L.list_cron_job(name, id, now) end
  L.drain(100)
  return reply
end
