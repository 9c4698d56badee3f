-- lib/artifacts: the files that jobs of runs leave: what is known of them, and the contents that are kept on this server
-- uses: -
-- `artifacts:<job>` is a hash: name -> "<ms until which it is kept, or -> <manifest>". `artifact-files:<job>:<name>` is a hash: digest ->
-- content; it expires with what is kept for a while only. A job has them of one execution at most: of the latest that left some.
local STORED = 500 -- values of one command

-- `list` is what a worker reports: for each artifact name, ms that it is kept ('' as long as the record), manifest, the number of values that
-- follow, and these: digests and contents in turn.
function L.keep_artifacts(job, list)
  local at = 1
  while at < #list do
    local name, keep, last = list[at], tonumber(list[at + 1]), at + 3 + list[at + 3]
    call('HSET', K.artifacts(job.id), name, (keep and string.format('%.0f', now + keep) or '-') .. ' ' .. list[at + 2])
    local key = K.artifact_files(job.id, name)
    for first = at + 4, last, STORED do call('HSET', key, unpack(list, first, math.min(first + STORED - 1, last))) end
    if keep and last > at + 3 then call('PEXPIRE', key, math.floor(keep)) end
    at = last + 1
  end
  job.artifacts = '1'
  call('HSET', K.job(job.id), 'artifacts', '1')
end

-- Forget them. The record is changed by the caller.
function L.drop_artifacts(id)
  for _, name in ipairs(call('HKEYS', K.artifacts(id))) do call('UNLINK', K.artifact_files(id, name)) end
  call('DEL', K.artifacts(id))
end
