-- GCRA as a script, as the README of redis_rate and the Wikipedia article "Generic cell rate algorithm" describe it:
-- one string per key holds the theoretical arrival time (TAT) in seconds, the clock is the server's.
--
--   KEYS[1] bucket    ARGV burst, rate, period in seconds, cost    -> { allowed, remaining, retry after, reset after }
local burst, rate, period, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local emission = period / rate
local tolerance = emission * burst

-- Counted from 2025 on, so that a double keeps microseconds.
local time = redis.call('TIME')
local now = (tonumber(time[1]) - 1735689600) + tonumber(time[2]) / 1000000

local tat = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local new_tat = tat + emission * cost
local room = now - (new_tat - tolerance)
if room < 0 then
  return { 0, 0, tostring(-room), tostring(tat - now) }
end
local reset_after = new_tat - now
if reset_after > 0 then
  redis.call('SET', KEYS[1], string.format('%.6f', new_tat), 'EX', math.ceil(reset_after))
end
return { cost, math.floor(room / emission), '-1', tostring(reset_after) }
