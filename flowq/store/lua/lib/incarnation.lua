-- lib/incarnation: refuse to touch data of another incarnation. Composed after the prelude into every script but `open`.
local incarnation, suspended, served = unpack(call('HMGET', KEYS[1], 'incarnation', 'suspended', 'served'))
if not incarnation or (ARGV[1] ~= '' and incarnation ~= ARGV[1]) then
  return redis.error_reply('FLOWQGONE ' .. (call('HGET', KEYS[1], 'schema') or '-'))
end
