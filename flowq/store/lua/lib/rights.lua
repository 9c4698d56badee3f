-- lib/rights: refuses a call before it has changed anything, if its user lacks a right that it may need
-- uses: -
-- The server checks the right to a command when a script comes to it, and takes nothing back that the script has written. So a call asks
-- before its first change for the rights to all commands that it may come to. Those of its transition are composed with it (`rights`), and
-- asked for at its start. One of the default user's rights stands for all of them. For other users each takes a microsecond: a transition that
-- says `-- rights:` names those first that it needs for an ordinary job. It asks for these, and for all before it comes to anything else. Part
-- of every script.
local asked = 0 -- per call: so many of `rights` this user is known to have
local limited = false -- per call: this is no user with all rights
L.TO_START, L.TO_END, L.TO_CREATE = 3, 7, 8 -- of the first ones: what an ordinary job needs

-- Fields of an ordinary job: nothing but its own record and structures changes when it starts or succeeds.
local ORDINARY = {
  status = 1, queue = 1, nonce = 1, created_at = 1, enqueued_at = 1, timeout = 1, call = 1, description = 1, serializer = 1, priority = 1,
  front = 1, result_ttl = 1, failure_ttl = 1, retry = 1, on_success = 1, on_failure = 1, on_stopped = 1,
}
local STARTED = { token = 1, worker = 1, started_at = 1, attempt = 1 } -- of one that has started once

-- Whether a job of these fields, a flat list, is an ordinary one. `started`: it may have started.
local function is_ordinary(flat, started)
  for i = 1, #flat, 2 do
    if not (ORDINARY[flat[i]] or started and STARTED[flat[i]]) then return false end
  end
  return true
end

-- Those of these commands that the user may not use on all keys of the namespace, `from` and `to` included.
function L.missing_rights(names, from, to)
  local missing, key = {}, NS .. '?' -- a key that no narrower pattern of a user has
  for i = from, to do
    local known, given = pcall(redis.acl_check_cmd, names[i], key) -- not known to imitations of Redis, nor where it was renamed
    if known and not given then missing[#missing + 1] = names[i] end
  end
  return missing
end

local function are_given(names, from, to, key)
  local check = redis.acl_check_cmd
  for i = from, to do
    if not check(names[i], key) then return false end
  end
  return true
end

-- Whether the user may do everything, as the default user may: use a command that only administrators have, on all keys.
local function is_unlimited()
  if not limited then
    local known, given = pcall(redis.acl_check_cmd, 'PFDEBUG', 'GETREG', NS .. '?')
    limited = not (known and given)
  end
  return not limited
end

-- End the call with an error unless its user has the first `count` rights of its transition, or all.
function L.ask(count)
  count = count or #rights
  if asked >= count then return end
  if is_unlimited() then
    asked = #rights
    return
  end
  local known, given = pcall(are_given, rights, asked + 1, count, NS .. '?')
  local missing = known and given and {} or L.missing_rights(rights, asked + 1, count) -- one by one
  if not missing[1] then
    asked = count
    return
  end
  local commands = #missing == count - asked and count > 1 and 'any of its commands' or table.concat(missing, ' ')
  error({ err = 'NOPERM ' .. commands .. ' on ' .. NS .. '* (nothing was changed; `flowq acl` prints the rights)' })
end

-- Ask for the first `count` rights if a job is an ordinary one, else for all: `simple` says whether what happens to it is, `flat` and `started` are
-- as of `is_ordinary`.
function L.ask_for(count, simple, flat, started)
  if asked >= #rights then return end
  if is_unlimited() then
    asked = #rights
  else
    L.ask(simple and is_ordinary(flat, started) and count or nil)
  end
end
