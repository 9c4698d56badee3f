-- job/save_meta: stores the user's own data about a job
-- edges: -
-- args: id data
-- guard: the job exists
-- replies: {done | not_found}
-- uses: -
-- Kept as long as the job is.
function T.save_meta()
  local id, data = A.text(), A.text()
  local life = call('PTTL', K.job(id))
  if life == -2 then return { 'not_found' } end
  call('SET', K.meta_data(id), data)
  if life > 0 then call('PEXPIRE', K.meta_data(id), life) end
  return { 'done' }
end
