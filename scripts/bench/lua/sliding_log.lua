-- A sliding log as a script, as ClassDojo's article "Better rate limiting with Redis sorted sets" describes it: every
-- admitted unit is a member of a sorted set, its score the time.
--
--   KEYS[1] sorted set    ARGV limit, window in microseconds, a name for this unit    -> { allowed, remaining }
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)
local used = redis.call('ZCARD', KEYS[1])
if used >= limit then
  return { 0, 0 }
end
redis.call('ZADD', KEYS[1], now, ARGV[3])
redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1000))
return { 1, limit - used - 1 }
