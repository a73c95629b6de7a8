-- A sliding window of two counters as a script, as Cloudflare's article "How we built rate limiting capable of scaling
-- to millions of domains" describes it: the previous window fades with the part of it that still counts.
--
--   KEYS[1] hash of this window and the previous one    ARGV limit, window in ms, cost    -> { allowed, remaining }
local limit, window, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local number = math.floor(now / window)

local state = redis.call('HMGET', KEYS[1], 'window', 'count', 'previous')
local last, count, previous = tonumber(state[1]), tonumber(state[2]) or 0, tonumber(state[3]) or 0
if last ~= number then
  previous = (last == number - 1) and count or 0
  count = 0
end
local used = count + math.floor(previous * (1 - (now % window) / window))
if used + cost > limit then
  return { 0, math.max(0, limit - used) }
end
redis.call('HSET', KEYS[1], 'window', number, 'count', count + cost, 'previous', previous)
redis.call('PEXPIRE', KEYS[1], 2 * window)
return { cost, limit - used - cost }
