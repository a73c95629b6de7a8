-- quota.lua with an idempotency key, as Stripe's "Designing robust and predictable APIs with idempotency" describes it:
-- the first answer is kept under the request's id for a day and given again to every client that repeats the request.
--
--   KEYS[1] account, KEYS[2] record of the id    ARGV amount, limit per day, limit per month
--   -> { granted, left of the day, left of the month }
local record = redis.call('GET', KEYS[2])
if record then
  return cjson.decode(record)
end
local amount, day_limit, month_limit = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local now = tonumber(redis.call('TIME')[1])
local day, month = math.floor(now / 86400), math.floor(now / 2592000)

local state = redis.call('HMGET', KEYS[1], 'day', 'day_used', 'month', 'month_used')
local day_used = tonumber(state[1]) == day and tonumber(state[2]) or 0
local month_used = tonumber(state[3]) == month and tonumber(state[4]) or 0
if day_used + amount > day_limit or month_used + amount > month_limit then
  return { 0, day_limit - day_used, month_limit - month_used }
end
day_used, month_used = day_used + amount, month_used + amount
redis.call('HSET', KEYS[1], 'day', day, 'day_used', day_used, 'month', month, 'month_used', month_used)
local answer = { amount, day_limit - day_used, month_limit - month_used }
redis.call('SET', KEYS[2], cjson.encode(answer), 'EX', 86400)
return answer
