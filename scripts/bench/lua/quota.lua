-- A daily and a monthly quota as a script, the way usage limits are commonly kept beside a billing system: one hash per
-- account counts each period under the period's own number; a new number begins at zero. Months are 30 days: a script
-- has no calendar.
--
--   KEYS[1] account    ARGV amount, limit per day, limit per month    -> { granted, left of the day, left of the month }
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
return { amount, day_limit - day_used, month_limit - month_used }
