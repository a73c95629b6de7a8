-- A token bucket as a script, as the rate limiting guides of Redis and of Stripe's engineering blog describe it:
-- a hash holds the tokens and when they were counted; they refill continuously.
--
--   KEYS[1] bucket    ARGV capacity, tokens per second, cost    -> { allowed, remaining, wait in ms }
local capacity, refill, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local state = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = tonumber(state[1]) or capacity
local at = tonumber(state[2]) or now
tokens = math.min(capacity, tokens + math.max(0, now - at) / 1000 * refill)
if tokens < cost then
  return { 0, math.floor(tokens), math.ceil((cost - tokens) / refill * 1000) }
end
tokens = tokens - cost
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens), 'at', now)
redis.call('PEXPIRE', KEYS[1], math.ceil((capacity - tokens) / refill * 1000) + 1000)
return { cost, math.floor(tokens), 0 }
