"""The scripts that Redis runs: one question with all checks of a call, and what is reported to the counters afterwards.

Redis's own clock counts, in microseconds. Keys: a window is a packed list of slots and counts; calls at once are a
sorted set of receipts by the end of their lease; a budget is a hash (``base``, ``version`` and ``open``, the sum of its
entries, which are fields ``e:NAME``) beside a sorted set of the entries by the end of their lease. A lease ends by
itself, so a killed worker leaves nothing behind.
"""

from typing import Final

from gateway.limits.checks import SLOTS

BUDGET_SECONDS: Final = 86_400
"""How long a budget is kept that nothing asks for: each question brings along what the ledger holds."""

_COMMON: Final = f"""
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local SLOTS, BUDGET = {SLOTS}, {BUDGET_SECONDS}
local function number(value) return string.format('%.0f', value) end
local function put(key, name, amount, lease)
  local before = tonumber(redis.call('HGET', key, 'e:' .. name) or 0)
  redis.call('HSET', key, 'e:' .. name, number(amount))
  redis.call('HINCRBY', key, 'open', number(amount - before))
  redis.call('ZADD', key .. ':leases', number(now + lease), name)
  redis.call('EXPIRE', key, BUDGET)
  redis.call('EXPIRE', key .. ':leases', BUDGET)
end
local function drop(key, name)
  local before = redis.call('HGET', key, 'e:' .. name)
  if before then
    redis.call('HINCRBY', key, 'open', number(-tonumber(before)))
    redis.call('HDEL', key, 'e:' .. name)
  end
  redis.call('ZREM', key .. ':leases', name)
end
local function learn(key, base, version)
  if tonumber(version) > tonumber(redis.call('HGET', key, 'version') or -1) then
    redis.call('HSET', key, 'base', base, 'version', version)
    redis.call('EXPIRE', key, BUDGET)
  end
end
local function slots_of(key, width)
  local raw = redis.call('GET', key)
  local slot, kept, total = math.floor(now / width), {{}}, 0
  if raw then
    local found = cmsgpack.unpack(raw)
    for j = 1, #found, 2 do
      local at = math.min(found[j], slot)  -- a clock that went back must not keep what is counted for longer
      if at >= slot - SLOTS then
        kept[#kept + 1] = at
        kept[#kept + 1] = found[j + 1]
        total = total + found[j + 1]
      end
    end
  end
  return slot, kept, total
end
local function keep(key, kept, width)
  redis.call('SET', key, cmsgpack.pack(kept), 'PX', math.ceil(width * (SLOTS + 2) / 1000))
end
"""

TAKE: Final = (
    _COMMON
    + """
-- ARGV: receipt, lease; then for each key: kind, amount, limit, rule, mode, width or base, version
local receipt, lease = ARGV[1], tonumber(ARGV[2])
local seen, allowing, asked = {}, {}, #KEYS
for i = 1, asked do
  local a = 3 + (i - 1) * 7
  local key, kind, amount, limit = KEYS[i], ARGV[a], tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2])
  local one = {fits = true, used = 0, wait = 0, reset = 0, slot = 0}
  if kind == 'w' then
    local width = tonumber(ARGV[a + 5])
    one.width = width
    one.slot, one.kept, one.used = slots_of(key, width)
    one.fits = one.used + amount <= limit
    if one.fits then
      one.reset = (SLOTS + 1) * width
    else
      if #one.kept > 0 then one.reset = (one.kept[#one.kept - 1] + SLOTS + 1) * width - now end
      one.wait = -1
      if amount <= limit then
        local left = one.used + amount - limit
        for j = 1, #one.kept, 2 do
          left = left - one.kept[j + 1]
          if left <= 0 then one.wait = (one.kept[j] + SLOTS + 1) * width - now; break end
        end
      end
    end
  elseif kind == 'c' then
    redis.call('ZREMRANGEBYSCORE', key, '-inf', number(now))
    one.used = redis.call('ZCARD', key)
    one.fits = one.used + amount <= limit
    one.wait = limit > 0 and 1000000 or -1
  else
    for _, name in ipairs(redis.call('ZRANGEBYSCORE', key .. ':leases', '-inf', number(now))) do drop(key, name) end
    learn(key, ARGV[a + 5], ARGV[a + 6])
    local held = redis.call('HMGET', key, 'base', 'open')
    one.used = tonumber(held[1] or 0) + tonumber(held[2] or 0)
    one.fits = one.used < limit and one.used + amount <= limit
    if one.fits and ARGV[a + 4] ~= 'audit' then allowing[ARGV[a + 3]] = true end
  end
  seen[i] = one
end
local refused = 0
for i = 1, asked do
  local a = 3 + (i - 1) * 7
  local mode, rule = ARGV[a + 4], ARGV[a + 3]
  if not seen[i].fits and mode ~= 'audit' then
    local lets = false
    if mode == 'soft_enforce' then
      for other in pairs(allowing) do if other ~= rule then lets = true end end
    end
    if not lets then refused = 1 end
  end
end
local answer = {refused}
for i = 1, asked do
  local a = 3 + (i - 1) * 7
  local key, kind, amount, one = KEYS[i], ARGV[a], tonumber(ARGV[a + 1]), seen[i]
  if refused == 0 then
    one.used = one.used + amount
    if kind == 'w' then
      local count = #one.kept
      if count > 0 and one.kept[count - 1] == one.slot then
        one.kept[count] = one.kept[count] + amount
      else
        one.kept[count + 1] = one.slot
        one.kept[count + 2] = amount
      end
      keep(key, one.kept, one.width)
    elseif kind == 'c' then
      redis.call('ZADD', key, number(now + lease), receipt)
      redis.call('PEXPIRE', key, math.ceil(lease / 500))
    elseif amount > 0 then
      put(key, receipt, amount, lease)
    end
  end
  answer[#answer + 1] = one.fits and 1 or 0
  answer[#answer + 1] = number(one.used)
  answer[#answer + 1] = number(one.wait)
  answer[#answer + 1] = number(one.reset)
  answer[#answer + 1] = number(one.slot)
end
return answer
"""
)

TELL: Final = (
    _COMMON
    + """
-- KEYS and, for each, ARGV: what, name, number, number
for i = 1, #KEYS do
  local a = (i - 1) * 4
  local key, what, name = KEYS[i], ARGV[a + 1], ARGV[a + 2]
  local first, second = tonumber(ARGV[a + 3]), tonumber(ARGV[a + 4])
  if what == 'correct' then
    local width, slot = tonumber(name), first
    local _, kept, total = slots_of(key, width)
    for j = #kept - 1, 1, -2 do
      if kept[j] == slot then
        kept[j + 1] = math.max(0, kept[j + 1] + second)
        keep(key, kept, width)
        break
      end
    end
  elseif what == 'run' then
    redis.call('ZADD', key, number(now + first), name)
    redis.call('PEXPIRE', key, math.ceil(first / 500))
  elseif what == 'leave' then
    redis.call('ZREM', key, name)
  elseif what == 'put' then
    put(key, name, first, second)
  elseif what == 'drop' then
    drop(key, name)
  elseif what == 'learn' then
    learn(key, ARGV[a + 3], ARGV[a + 4])
  elseif what == 'worker' then
    redis.call('ZREMRANGEBYSCORE', key, '-inf', number(now))
    redis.call('ZADD', key, number(now + first), name)
    redis.call('PEXPIRE', key, math.ceil(first / 500))
  end
end
return redis.call('ZCARD', 'gatehouse:workers')
"""
)
