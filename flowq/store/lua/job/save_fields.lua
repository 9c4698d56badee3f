-- job/save_fields: writes the user's fields of a plain job
-- edges: -
-- args: id fields*
-- guard: the job exists and is not of a run
-- replies: {done | wrong_state | not_found}
-- uses: -
-- Fields are written as they are; an empty value removes the field.
function T.save_fields()
  local id, fields = A.text(), A.list()
  local key = K.job(id)
  local found = call('HMGET', key, 'status', 'run')
  if not found[1] then return { 'not_found' } end
  if found[2] then return { 'wrong_state' } end
  for i = 1, #fields, 2 do
    if fields[i + 1] == '' then call('HDEL', key, fields[i]) else call('HSET', key, fields[i], fields[i + 1]) end
  end
  return { 'done' }
end
