-- lib/conditions: which edges hold below a job that has ended, and how a group has ended by its cells
-- uses: lib/status

-- The text by which an edge to a plain job names it: its creation, and how often it was revived. An edge with another one is out of date.
function L.mark(job)
  return job.revived and job.nonce .. '~' .. job.revived or job.nonce
end

-- The conditions that hold for an ended parent. A group has counted how its cells ended (fields `cells:…`).
local function mixed(parent)
  return parent.kind == 'group' and parent.status == 'finished' and tonumber(parent['cells:skipped'] or 0) > 0
end

function L.holds(parent, condition)
  local status = parent.status
  local success = status == 'finished' or (status == 'failed' and parent.allowed == '1')
  local skipped = status == 'skipped'
  if mixed(parent) then return condition == 'ok' or condition == 'done' end
  if condition == 'success' then return success end
  if condition == 'ok' then return success or skipped end
  if condition == 'failure' then return (status == 'failed' or status == 'stopped') and not success end
  if condition == 'skipped' then return skipped end
  if condition == 'ran' then return success or status == 'failed' or status == 'stopped' end
  return true
end

function L.reason_of(parent)
  local status = parent.status
  if mixed(parent) then return 'upstream_skipped' end
  if status == 'finished' or (status == 'failed' and parent.allowed == '1') then return 'upstream_finished' end
  if status == 'canceled' then return 'upstream_canceled' end
  if status == 'skipped' then return 'upstream_skipped' end
  return 'upstream_failed'
end

function L.group_status(group)
  local function n(name) return tonumber(group['cells:' .. name] or 0) end
  if n('failed') > 0 then return 'failed' end
  if n('canceled') > 0 then return 'canceled' end
  if n('skipped') > 0 and n('finished') == 0 then return 'skipped' end
  return 'finished'
end

-- A group that has skipped members beside successful ones counts as both, as it would with its members in its place.
function L.tally(group, parent)
  local key = K.job(group.id)
  local word = parent.status
  if mixed(parent) then
    group['cells:skipped'] = call('HINCRBY', key, 'cells:skipped', 1)
  elseif L.holds(parent, 'success') then
    word = 'finished'
  elseif word == 'stopped' then
    word = 'failed'
  end
  group['cells:' .. word] = call('HINCRBY', key, 'cells:' .. word, 1)
end
