-- run/read_statuses: the statuses of a stretch of a run's jobs and groups, a letter for each
-- edges: -
-- args: run first last
-- guard: -
-- replies: the letters of the ordinals from `first` to `last`, see `flowq.states.LETTERS`
-- uses: -
-- A reader of 100,000 jobs would spend seconds on as many replies.
local LETTERS = {
  created = 'n', deferred = 'd', scheduled = 'w', queued = 'q', rate_limited = 'l', started = 'r',
  finished = 'f', failed = 'F', stopped = 'S', canceled = 'c', skipped = 's',
}

function T.read_statuses()
  local run, first, last = A.text(), A.number(), A.number()
  local out = {}
  for ordinal = first, last do
    local key = K.job(L.member(run, ordinal))
    local letter = LETTERS[call('HGET', key, 'status')] or '-'
    if (letter == 'F' or letter == 'S') and call('HGET', key, 'allowed') == '1' then letter = letter == 'F' and 'a' or 'A' end
    out[#out + 1] = letter
  end
  return table.concat(out)
end
